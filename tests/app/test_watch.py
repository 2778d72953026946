"""``luthier watch``: the study in a terminal, of any width, live and once."""

from __future__ import annotations

import math
import os
import pty
import select
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from tests.app.dashboard.example_studies import SPACE, train

import luthier
from luthier.app.command import commands
from luthier.app.watch import _followed, picture
from luthier.space import Choice, Float, Space
from luthier.storage import SQLiteStore, sqlite
from luthier.study.history import History


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def hyperband() -> History:
    luthier.tune(
        train, SPACE, minimize="val_loss", name="s", scheduler="hyperband", searcher="random",
        epochs=9, max_epochs=40,
    )  # fmt: skip
    return luthier.open("s").history


def test_no_line_is_wider_than_the_terminal_and_none_is_lost():
    history = hyperband()
    for width in (20, 40, 59, 60, 80, 200):
        for height in (3, 10, 40):
            lines = picture(history, width, height, history.last_time)
            assert len(lines) <= height
            assert all(cell_len(line.plain) <= width for line in lines)
    text = "\n".join(line.plain for line in picture(history, 120, 40, history.last_time))
    assert history.best is not None
    assert f"trial {history.best.number}" in text
    assert "9/9 at 1 > 3/3 at 3 > 1/1 at 9" in text, "the paper's bracket s=2 for R=9"


def test_once_prints_plain_text():
    hyperband()
    done = CliRunner().invoke(commands, ["watch", "--once"], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.startswith("s: minimize val_loss\n")
    assert "\x1b" not in done.output


def test_odd_studies():
    empty = luthier.open("empty", Space(x=Float(0, 1)), minimize="loss")
    assert "no trial yet" in shown(empty.history)
    nasty = "\x1b[31mred\x1b[0m\n[bold]"
    kinds = Space(kind=Choice(nasty, "b"))
    study = luthier.open(nasty, kinds, minimize="loss", scheduler=None, noisy=True)
    for value in (math.nan, 1.0, -math.inf):
        study.tell(study.ask(), loss=value)
    study.ask()
    text = shown(study.refresh())
    assert "\x1b" not in text
    assert "[bold]" in text, "square brackets are text"
    assert "running (1)" in text


def shown(history: History) -> str:
    return "\n".join(line.plain for line in picture(history, 80, 40, history.last_time + 1))


def test_unknown_studies():
    luthier.open("right", Space(x=Float(0, 1)), minimize="loss")
    done = CliRunner().invoke(commands, ["watch", "rihgt", "--once"])
    assert "There is no study 'rihgt'. Did you mean 'right'?" in str(done.exception)


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are a thing of POSIX")
def test_on_a_terminal_it_moves_and_ends_with_ctrl_c():
    study = luthier.open("s", Space(x=Float(0, 1)), minimize="loss", scheduler=None)
    trial = study.ask()
    leader, follower = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "70", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "luthier.app.command", "watch", "s"],
        stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        read_until(leader, "running (1)")
        trial.report(loss=0.125)
        said = read_until(leader, "0.125")
        assert "\x1b[3" not in said, "NO_COLOR: no colour"
    finally:
        process.send_signal(2)
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([leader], [], [], 0.1)[0]:
                os.read(leader, 65536)
        process.kill()
        os.close(leader)
        os.close(follower)
    assert process.returncode == 130


def read_until(terminal: int, text: str) -> str:
    found, end = "", time.monotonic() + 30
    while text not in found:
        assert time.monotonic() < end, found[-2000:]
        if select.select([terminal], [], [], 0.2)[0]:
            found += os.read(terminal, 65536).decode(errors="replace")
    return found


def test_a_study_that_cannot_be_read_does_not_hide_the_one_that_runs():
    luthier.open("fine", Space(x=Float(0, 1)), minimize="loss").close()
    broken = luthier.open("broken", Space(x=Float(0, 1)), minimize="loss")
    broken.store.append("broken", [b"no event at all"])
    broken.close()
    done = CliRunner().invoke(commands, ["watch", "--once"], catch_exceptions=False)
    assert done.output.startswith("fine: minimize loss\n")
    done = CliRunner().invoke(commands, ["watch", "broken", "--once"])
    assert "cannot be read" in str(done.exception)


def test_repetitions_of_a_race_are_told_beside_the_trials_of_the_budget():
    luthier.tune(
        train, SPACE, minimize="val_loss", name="s", scheduler=None, searcher="random", epochs=2,
        max_trials=6, finalists=2, repetitions=3,
    )  # fmt: skip
    history = luthier.open("s").history
    again = len(history.repetitions)
    assert again >= 4
    assert f"6 of 6 trials and {again} repetitions of finalists, " in shown(history)


def test_a_file_that_was_made_again_is_read_from_its_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", -1.0)
    space, path = Space(x=Float(0, 1)), tmp_path / "luthier.db"
    study = luthier.open("s", space, minimize="loss", scheduler=None)
    for loss in (1.0, 2.0):
        study.tell(study.ask(), loss=loss)
    reader = SQLiteStore(path, read_only=True)
    first, history = _followed(reader, "s", b"", History())
    same, again = _followed(reader, "s", first, history)
    assert (same, again) == (first, history)
    study.close()
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    study = luthier.open("s", space, minimize="loss", scheduler=None)
    study.tell(study.ask(), loss=3.0)
    reader.names()  # looks at which file it is
    _, history = _followed(reader, "s", first, history)
    assert [t.best_loss for t in history.trials] == [3.0]


def test_all_that_run_are_counted_and_one_without_a_value_has_none():
    space = Space(x=Float(0, 1))
    study = luthier.open("s", space, maximize="a", scheduler=None, searcher="random", epochs=9)
    for _ in range(14):
        study.ask().report(a=0.5)
    trial = study.ask()
    trial.report(a=math.nan)
    history = study.refresh()
    running = sum(t.state.value == "running" for t in history.trials)
    lines = [line.plain for line in picture(history, 120, 60, history.last_time)]
    assert f"running ({running}, the newest 12)" in lines
    assert running >= 14
    assert not any(" inf " in line for line in lines)
