"""Ctrl-C at any line of Luthier's own code while a study runs in this process."""

from __future__ import annotations

import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import luthier
import luthier as lt
from luthier.study.records import TrialState

HOME = str(Path(luthier.__file__).parent)
SPACE = lt.Space(aim=lt.Float(-1, 1), rate=lt.Float(1e-3, 1, scale="log"))


class Descent:
    def __init__(self):
        self.at = 1.0

    def save(self, folder):
        (folder / "at").write_text(repr(self.at))

    def restore(self, folder):
        self.at = float((folder / "at").read_text())

    def go_on(self, trial):
        self.at -= trial["rate"] * 2 * (self.at - trial["aim"])


def one_by_one(trial):
    state = Descent()
    for _ in trial.epochs(state):
        state.go_on(trial)
        trial.report(loss=state.at**2)


class SideBySide:
    def abreast(self, study, due):
        return 3

    def begin(self, trial):
        state = Descent()
        for _ in trial.epochs(state):
            yield partial(state.go_on, trial)
            trial.report(loss=state.at**2)

    def started(self, turn):
        return None

    def together(self, turns):
        for turn in turns:
            turn()
        return [None] * len(turns)

    def __call__(self, trial):
        one_by_one(trial)


class Beside(SideBySide):
    """Runs each epoch in a thread, while others report."""

    threads = ThreadPoolExecutor(3)

    def started(self, turn):
        return self.threads.submit(turn).exception


def tuned(train, storage):
    return lt.tune(
        train,
        SPACE,
        minimize="loss",
        name="s",
        searcher="random",
        scheduler=lt.Hyperband(epochs=4),
        storage=storage,
        progress=False,
    )


class CtrlC:
    """Counts the lines that this thread executes in Luthier while a study works; presses at one."""

    def __init__(self, at=None):
        self.at = at
        self.lines = 0
        self.within = False

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        if frame.f_code.co_name == "work" and frame.f_code.co_filename.endswith("run/worker.py"):
            self.within = event == "call"
            return self.of_work
        return self.line if self.within else None

    def of_work(self, frame, event, argument):
        self.within = event != "return"
        return self.of_work

    def line(self, frame, event, _):
        if event == "line" and self.within:
            self.lines += 1
            if self.lines == self.at:
                signal.raise_signal(signal.SIGINT)
        return self.line

    def __enter__(self):
        # A shell that runs the tests in the background has its children ignore Ctrl-C.
        self._handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._trace = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self._trace)
        signal.signal(signal.SIGINT, self._handler)


def outcome(study):
    return [(t.number, t.configuration, t.steps, t.losses, t.state) for t in study.trials]


@pytest.fixture(
    scope="module", params=[one_by_one, SideBySide(), Beside()], ids=["alone", "abreast", "beside"]
)
def undisturbed(request, tmp_path_factory):
    with CtrlC() as counted:
        result = tuned(request.param, tmp_path_factory.mktemp("calm") / "luthier.db")
    assert counted.lines > 2000
    return request.param, outcome(result.study), counted.lines


@pytest.mark.parametrize("turn", range(30))
def test_ctrl_c_at_any_line_gives_the_trial_back(tmp_path, undisturbed, turn):
    """At once in a store that the same process goes on with, as in a notebook."""
    train, expected, lines = undisturbed
    storage = tmp_path / "luthier.db"
    at = random.Random(turn).randrange(1, lines)
    with CtrlC(at) as pressed, pytest.raises(KeyboardInterrupt):
        tuned(train, storage)
    assert pressed.lines >= at
    study = lt.open("s", storage=storage)
    assert not [t for t in study.trials if t.state is TrialState.RUNNING]
    assert outcome(tuned(train, storage).study) == expected
