"""What is said of a study while it runs."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time

import pytest

import luthier as lt
from luthier.app.live import Progress, screen
from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import RememberedCheckpoints, VirtualClock
from luthier.storage import open_store
from luthier.study.study import Study
from luthier.study.trial import Trial


def test_the_time_left_counts_the_trials_that_one_process_trains_side_by_side(tmp_path, capfd):
    path = tmp_path / "s.db"
    space = lt.Space(x=lt.Float(0.0, 1.0))
    kept = open_study(
        "s", space, minimize="loss", scheduler=None, epochs=10, max_trials=3, storage=path
    )
    clock = VirtualClock()
    parts = made_parts(kept.history.header)
    study = Study(open_store(path), "s", *parts, RememberedCheckpoints(), clock=clock)
    trials = [Trial(study, study.next_job()) for _ in range(3)]
    for _ in range(2):
        clock.now += 10.0
        for trial in trials:
            trial.report(loss=1.0)
    said, until = "", time.monotonic() + 30
    plan = study.scheduler.plan(study.limits)
    with Progress(open_store(path), "s", plan, 1, None, live=False):
        while "left" not in said and time.monotonic() < until:
            time.sleep(0.05)
            said += capfd.readouterr().err
    # 24 epochs of 10 s, three at a time.
    assert "warm-up over after 6 epochs: about 1 min 20 s left" in said


@pytest.mark.parametrize("max_time", [None, 600.0])
def test_trainings_of_a_length_that_nobody_told_are_not_taken_for_epochs(tmp_path, capfd, max_time):
    path = tmp_path / "s.db"
    study = lt.open("s", {"x": lt.Float(0.0, 1.0)}, minimize="loss", max_trials=50, storage=path)
    for epochs in (9, 6):
        trial = study.ask()
        for _ in range(epochs):
            trial.report(loss=1.0)
    plan = study.scheduler.plan(study.limits)
    assert plan.to_end
    deadline = None if max_time is None else time.monotonic() + max_time
    progress = Progress(open_store(path), "s", plan, 1, deadline, live=False)
    progress._refresh()
    line = progress._headline()
    assert "trials 2/50  ·  epochs 15  ·" in line
    assert "warming up" not in line
    progress._say_how_long()
    if max_time is None:
        assert " left" not in line + capfd.readouterr().err
    else:
        assert " min left" in line


def test_what_users_named_is_text_to_the_live_table(tmp_path):
    """rich would read it as markup: "[bn]" vanished, and "[/x]" ended the thread that draws."""
    path = tmp_path / "s.db"
    space = lt.Space(kind=lt.Choice("conv[bn]", "[/x]", ":boom:"))
    study = lt.open("s", space, minimize="loss[1]", scheduler=None, storage=path)
    for kind in ("conv[bn]", "[/x]", ":boom:"):
        study.enqueue({"kind": kind})
        study.ask().report({"loss[1]": 1.0})
    written = io.StringIO()
    progress = Progress(open_store(path), "s", None, 1, None, live=True)
    progress._refresh()
    screen(written).print(progress._picture(), width=100)
    for text in ("kind=conv[bn]", "kind=[/x]", "kind=:boom:", "loss[1]"):
        assert text in written.getvalue()


PRINTS = """
import pathlib, time
import luthier as lt

def train(trial):
    until = time.monotonic() + 60
    while not pathlib.Path("the table is there").exists() and time.monotonic() < until:
        time.sleep(0.02)
    print("printed by the training")
    trial.report(loss=trial["x"])

lt.tune(train, {"x": lt.Float(0, 1)}, minimize="loss", max_trials=1, storage="memory")
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal to be made")
def test_what_is_printed_into_a_file_stays_there_though_the_table_is_on_a_terminal(tmp_path):
    master, slave = os.openpty()
    log, said = tmp_path / "log.txt", b""
    with log.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-c", PRINTS], stdout=out, stderr=slave, cwd=tmp_path
        )
        os.close(slave)
        with contextlib.suppress(OSError):  # its other end is closed
            while some := os.read(master, 1 << 16):
                said += some
                if b"warming up" in said:
                    (tmp_path / "the table is there").touch()
    os.close(master)
    assert run.wait(60) == 0, said
    assert log.read_text() == "printed by the training\n"
    assert b"warming up" in said  # the table was there


def test_the_time_left_knows_that_a_report_may_be_of_several_epochs(tmp_path, capfd):
    path = tmp_path / "s.db"
    kept = open_study(
        "s", lt.Space(x=lt.Float(0.0, 1.0)), minimize="loss", scheduler=None, epochs=20,
        max_trials=1, storage=path,
    )  # fmt: skip
    clock = VirtualClock()
    parts = made_parts(kept.history.header)
    study = Study(open_store(path), "s", *parts, RememberedCheckpoints(), clock=clock)
    trial = Trial(study, study.next_job())
    for step in (4, 8, 12, 16):
        clock.now += 40.0
        trial.report(step=step, loss=1.0)
    said, until = "", time.monotonic() + 30
    plan = study.scheduler.plan(study.limits)
    with Progress(open_store(path), "s", plan, 1, None, live=False):
        while "left" not in said and time.monotonic() < until:
            time.sleep(0.05)
            said += capfd.readouterr().err
    assert "warm-up over after 16 epochs: about 40 s left" in said
