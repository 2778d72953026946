"""Several trials in one process, each epoch in a thread beside those of the others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import luthier as lt
from luthier.study import events as ev
from luthier.study.records import TrialState

SPACE = lt.Space(rate=lt.Float(0, 1))


class Beside:
    """Trains by waiting, each trial as long as *pause* says; *most* trials at a time."""

    def __init__(self, pause, most=3, fails=()):
        self.pause, self.most, self.fails = pause, most, dict(fails)
        self.threads = ThreadPoolExecutor(most)
        self.under_way = self.peak = 0

    def abreast(self, study, due):
        return self.most

    def begin(self, trial):
        # A loss is a function of the epoch, so there is nothing to keep.
        kept = {"save": lambda folder: (folder / "x").touch(), "restore": lambda folder: None}
        for epoch in trial.epochs(**kept):
            yield trial.number, epoch
            trial.report(loss=trial["rate"] + 1 / (epoch + 1))

    def started(self, turn):
        return self.threads.submit(self.train, *turn).exception

    def train(self, number, epoch):
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        time.sleep(self.pause(number))
        self.under_way -= 1
        if (number, epoch) in self.fails:
            raise self.fails[number, epoch]

    def together(self, turns):
        raise AssertionError("each runs by itself")

    def __call__(self, trial):
        raise AssertionError("several were wanted")


def tuned(train, storage="memory", **options):
    return lt.tune(
        train, SPACE, minimize="loss", name="s", searcher="random", max_trials=7, seed=3,
        scheduler=lt.Hyperband(epochs=4), storage=storage, progress=False, **options,
    ).study  # fmt: skip


def told(study):
    """Return all events but for times, leases and what was seen by whom."""
    events = [ev.decode(body) for _, body in study.store.read(study.name)]
    return [(type(e).__name__, getattr(e, "trial", None), getattr(e, "step", None)) for e in events]


def test_the_order_of_events_hangs_on_no_trials_speed():
    first = Beside(lambda number: 0.02 * (number % 2))
    other = Beside(lambda number: 0.02 * (number % 3 == 0))
    assert told(tuned(first)) == told(tuned(other))
    assert first.peak > 1


def test_more_at_a_time_find_the_same():
    curves = [
        [(t.configuration, t.steps, t.losses) for t in tuned(Beside(lambda _: 0, most)).trials]
        for most in (2, 3, 8)
    ]
    assert curves[0] == curves[1] == curves[2]


def test_who_runs_out_of_memory_fails_alone():
    trials = tuned(Beside(lambda _: 0.0, fails={(1, 0): MemoryError()})).trials
    assert [t.number for t in trials if t.state is TrialState.FAILED] == [1]
    assert all(t.state.ended for t in trials)
    assert len(trials) == 7


def test_an_error_is_its_trials_own_and_gives_the_others_back(tmp_path):
    train = Beside(lambda _: 0.0, fails={(1, 0): ZeroDivisionError("of trial 1")})
    with pytest.raises(ZeroDivisionError, match="of trial 1"):
        tuned(train, tmp_path / "l.db")
    states = [t.state for t in lt.open("s", storage=tmp_path / "l.db").trials]
    assert states[1] is TrialState.FAILED
    assert TrialState.RUNNING not in states
    assert states.count(TrialState.FAILED) == 1
