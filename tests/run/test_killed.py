"""kill -9 and Ctrl-C at random moments, with real processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from luthier.errors import StudyError
from luthier.run.opening import open_study
from luthier.study.records import TrialState

pytestmark = pytest.mark.processes
SCRIPT = Path(__file__).with_name("killable.py")


def start(storage, workers):
    return subprocess.Popen(
        [sys.executable, SCRIPT, storage, str(workers)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def workers_of(process):
    """Return the worker processes: the fork server's children."""
    found = []
    try:
        for server in psutil.Process(process.pid).children():
            found += server.children()
    except psutil.NoSuchProcess:
        pass
    return found


def everybody(process):
    try:
        return [process.pid] + [p.pid for p in psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def spared(storage):
    """Wait until each trial may lose its worker once more: the third time in a row fails it.

    On a slow machine a new worker does not always come to the end of an epoch before the next kill.
    """
    until = time.monotonic() + 60
    while storage.exists() and any(deaths(t) > 1 for t in trials_under_way(storage)):
        assert time.monotonic() < until, "a trial gets nowhere"
        time.sleep(0.02)


def trials_under_way(storage):
    try:
        return list(open_study("killable", storage=storage, renews=False).history.active.values())
    except StudyError:  # it was killed before it had made its study
        return []


def deaths(trial):
    """Count the workers that *trial* lost since its last epoch, with one that nobody noticed yet."""
    unnoticed = trial.state is TrialState.RUNNING and not alive(trial.holder.pid)
    return trial.fruitless.get("lost", 0) + unnoticed


def outcome(storage):
    study = open_study("killable", storage=storage)
    return [(t.number, t.configuration, t.steps, t.losses, t.state) for t in study.trials]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    storage = tmp_path_factory.mktemp("calm") / "luthier.db"
    process = start(storage, 1)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return outcome(storage)


def test_kill_9_at_20_random_moments(tmp_path, undisturbed):
    """Now one worker, now everything at once; in the end nothing shows but the log's length."""
    storage = tmp_path / "luthier.db"
    moments = random.Random(1)
    kills = Counter()
    process = start(storage, 2)
    began = time.monotonic()
    while sum(kills.values()) < 20:
        assert time.monotonic() - began < 240
        time.sleep(moments.uniform(0.05, 0.5))
        if process.poll() is not None:
            assert process.returncode == 0, process.stdout.read()
            break
        if moments.random() < 0.6:
            workers = workers_of(process)
            while not workers and process.poll() is None and time.monotonic() - began < 240:
                time.sleep(0.02)  # it is still starting
                workers = workers_of(process)
            if workers:
                time.sleep(moments.uniform(0, 0.3))
                spared(storage)
                workers = workers_of(process)
            if workers:
                moments.choice(workers).kill()
                kills["worker"] += 1
        else:
            spared(storage)
            everyone = everybody(process)
            process.kill()
            process.wait()
            kills["everything"] += 1
            until = time.monotonic() + 5
            while any(map(alive, everyone)) and time.monotonic() < until:
                time.sleep(0.01)
            assert not any(map(alive, everyone)), "a process outlived its supervisor"
            process = start(storage, 2)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert sum(kills.values()) == 20, f"the study was over after {kills}: train longer"
    assert min(kills.values()) >= 4

    assert not [
        t.why
        for t in open_study("killable", storage=storage).trials
        if t.state is TrialState.FAILED
    ]
    # What finished is there, with the values of a run that nobody disturbed.
    assert outcome(storage) == undisturbed
    # No epoch was begun that a checkpoint held: what was trained twice had not been kept.
    assert not Path(f"{storage}.twice").exists()
    trained = Counter(Path(f"{storage}.epochs").read_text().splitlines())
    again = sum(count - 1 for count in trained.values())
    assert again <= 2 * 20  # at most the epoch at hand, for each of two workers


def test_ctrl_c_ends_soon_and_keeps_everything(tmp_path, undisturbed):
    storage = tmp_path / "luthier.db"
    trained = Path(f"{storage}.epochs")
    trained.touch()
    for workers, epochs in ((2, 10), (1, 5)):
        before = len(trained.read_text().splitlines())
        process = start(storage, workers)
        until = time.monotonic() + 60
        while len(trained.read_text().splitlines()) < before + epochs:
            assert time.monotonic() < until
            time.sleep(0.01)
        everyone = everybody(process)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=20)  # well before the minute of grace is over
        assert "everything is kept" in out
        assert not any(map(alive, everyone))
        study = open_study("killable", storage=storage)
        assert not [t for t in study.trials if t.state is TrialState.RUNNING]
    process = start(storage, 2)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert outcome(storage) == undisturbed


def test_a_worker_that_keeps_dying_fails_its_trial_and_not_the_study(tmp_path):
    script = tmp_path / "dying.py"
    script.write_text(
        "import os, signal, sys, luthier as lt\n"
        "def train(trial):\n"
        "    if trial.number == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    for epoch in trial.epochs(): trial.report(loss=trial['x'])\n"
        "lt.tune(train, lt.Space(x=lt.Float(0, 1)), minimize='loss', name='s', epochs=2,\n"
        "        max_trials=4, workers=2, storage=sys.argv[1])\n"
    )
    storage = tmp_path / "luthier.db"
    done = subprocess.run(
        [sys.executable, script, storage], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    study = open_study("s", storage=storage)
    states = [t.state for t in study.trials]
    assert states == [TrialState.COMPLETED, TrialState.FAILED] + [TrialState.COMPLETED] * 2
    assert study.trials[1].kind == "lost"
    assert "killed 3 times" in study.trials[1].why


def test_a_bug_in_a_worker_ends_the_study_with_the_users_traceback(tmp_path):
    script = tmp_path / "buggy.py"
    script.write_text(
        "import sys, luthier as lt\n"
        "def train(trial):\n"
        "    return undefined_name + trial['x']\n"
        "lt.tune(train, lt.Space(x=lt.Float(0, 1)), minimize='loss', name='s', max_trials=9,\n"
        "        workers=2, storage=sys.argv[1])\n"
    )
    storage = tmp_path / "luthier.db"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, script, storage], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert "NameError: name 'undefined_name' is not defined" in done.stderr
        assert "buggy.py" in done.stderr
    script.write_text(script.read_text().replace("undefined_name + ", ""))
    done = subprocess.run(
        [sys.executable, script, storage], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    study = open_study("s", storage=storage)
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 9
