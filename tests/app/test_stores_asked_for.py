"""Commands for a person who waits: a store that is not there is said at once, and nothing is made."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

import luthier as lt
from luthier.app.command import commands
from luthier.app.stores import file_of
from luthier.errors import StorageError


def refused(*words):
    with pytest.raises(StorageError) as caught:
        CliRunner(catch_exceptions=False).invoke(commands, words)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUTHIER_STORAGE", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["pause", "x"],
        ["resume", "x"],
        ["stop", "x"],
        ["prune", "x", "1"],
        ["enqueue", "x", "a=1"],
        ["space", "x", "a=1..2"],
        ["budget", "x", "--trials", "3"],
        ["race", "x"],
        ["boundary", "x", "--act"],
        ["storage", "compact"],
        ["storage", "copy", "luthier.db", "other.db"],
    ],
)
def test_nothing_is_made_where_nothing_was(folder, words):
    assert f"There is no {folder / 'luthier.db'}" in refused(*words)
    assert list(folder.iterdir()) == []


def test_a_folder_is_said_to_be_one(folder):
    assert "is a folder: expected the file of studies" in refused("list", "--storage", str(folder))
    lt.open("s", {"x": lt.Float(0, 1)}, minimize="loss")
    wrong = refused("show", "s", "--storage", f"sqlite:///{folder}")
    assert f"Did you mean '{folder / 'luthier.db'}'?" in wrong
    assert "is a folder" in refused("pause", "s", "--storage", str(folder))


@pytest.mark.parametrize("words", [["show", "s"], ["list"], ["pause", "s"], ["watch", "--once"]])
def test_a_server_that_is_not_there_is_said_at_once(words, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://secret@127.0.0.1:{free.getsockname()[1]}"  # nobody listens
        monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
        said = refused(*words, "--storage", url)
    assert "No server answers at http://127.0.0.1:" in said
    assert "luthier serve" in said
    assert "secret" not in said


def test_the_file_that_a_storage_names(folder, monkeypatch):
    assert str(file_of(None)) == "luthier.db"
    assert str(file_of("sqlite:///a/b.db?durability=power")) == "a/b.db"
    assert file_of("postgresql://user@host/db") is file_of("memory") is file_of("env") is None
    monkeypatch.setenv("LUTHIER_STORAGE", "here.db")
    assert str(file_of("env")) == str(file_of(None)) == "here.db"


def test_completion_does_not_wait_for_a_server_that_is_not_there(monkeypatch):
    from luthier.app import completing

    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LUTHIER_STORAGE", f"http://t@127.0.0.1:{free.getsockname()[1]}")
        command = commands.commands["show"]
        context = command.make_context("show", ["s"])
        assert command.params[0].shell_complete(context, "") == []
        assert completing.complete_hyperparameters(context, command.params[0], "") == []
