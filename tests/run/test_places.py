"""Where logs and scripts lie that belong to no file: apart from those of other users and other stores."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest

from luthier.errors import CheckpointError
from luthier.run.opening import open_study
from luthier.run.places import logs_of, working_folder
from luthier.storage import open_store

USER = os.getuid()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def server(address):
    return SimpleNamespace(address=address)


def test_only_this_user_can_look_into_it(temporary):
    folder = working_folder(server("postgresql://me@host/db"))
    assert folder.parent == temporary / f"luthier-{USER}"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    folder.parent.chmod(0o755)  # an umask, or somebody who wanted to be helpful
    working_folder(server("postgresql://me@host/db"))
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_each_store_has_its_own_whoever_asks_with_whatever_password(temporary):
    one = working_folder(server("postgresql://me:secret@host/db"))
    assert one == working_folder(server("postgresql://host/db"))
    assert one != working_folder(server("postgresql://host/other"))
    assert one != working_folder(server("http://token@host:8765"))
    assert logs_of(server("http://token@host:8765")).name == "logs"


def test_all_processes_of_a_machine_find_the_same(temporary):
    address = "http://token@host:8765"
    program = (
        "from types import SimpleNamespace\nfrom luthier.run.places import working_folder\n"
        f"print(working_folder(SimpleNamespace(address={address!r})))"
    )
    known = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=known, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(working_folder(server(address)))


def test_a_study_in_memory_is_in_no_other_processs_way(temporary):
    folder = working_folder(open_store("memory"))
    assert folder == temporary / f"luthier-{USER}" / f"memory-{os.getpid()}"


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    opened = open_study("s", {}, minimize="loss", storage="memory", checkpoints="~/runs")
    assert opened.history.header.checkpoints == str(tmp_path / "home" / "runs")
    assert opened.checkpoints.root.parent == tmp_path / "home" / "runs"


def test_a_folder_that_somebody_else_put_there_is_refused(temporary):
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"luthier-{USER}").symlink_to(elsewhere)
    with pytest.raises(CheckpointError, match="Delete it, or set TMPDIR to a folder of your own"):
        working_folder(server("postgresql://host/db"))


def test_a_folder_that_cannot_be_made_is_named(temporary, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    with pytest.raises(CheckpointError, match=f"Cannot make the folder .*gone/luthier-{USER}"):
        working_folder(server("postgresql://host/db"))
