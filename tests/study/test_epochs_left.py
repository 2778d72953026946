"""Epochs that are promised to running trials, kept up to date."""

from __future__ import annotations

import pytest

from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import heavy_tailed, simulate
from luthier.run.worker import work
from luthier.schedule import ASHA
from luthier.space import Float, Space
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.limits import Limits, epochs_left
from luthier.study.log import read_log
from luthier.study.protocols import Done
from luthier.study.records import TrialState
from luthier.study.replay import replay

SPACE = Space(x=Float(0.0, 1.0))


@pytest.mark.parametrize("steps", [(), (1, 3, 9)])
def test_what_is_left_is_what_nobody_trained_or_is_to_train(steps):
    study = simulate(
        lambda c, step: c["x"] + 1 / step, SPACE, minimize="loss", workers=8,
        searcher="random", scheduler=ASHA(9, stops=True), max_trials=30,
        epoch_seconds=heavy_tailed(10.0), failures=0.2, cut_off=0.1,
    ).study  # fmt: skip
    kept, seen = History(), set()
    for number, event in read_log(study.store, study.name):
        kept.apply(number, event)
        promised = 0
        for trial in kept.active.values():
            rung = [step for step in steps if step > trial.step]
            promised += min([trial.to_step or trial.step + 1, *rung]) - trial.step
        assert epochs_left(kept, Limits(epochs=400), steps) == 400 - kept.epochs - promised
        seen.add(promised)
    assert len(seen) > 8
    assert epochs_left(kept, Limits(), steps) == float("inf")


# -- where nobody says how many epochs a trial has -----------------------------------------------------


def opened(storage, **options):
    options = {"searcher": "random", **options}
    return open_study("s", SPACE, minimize="loss", storage=storage, **options)


@pytest.mark.parametrize("scheduler", ["auto", None])
def test_trials_of_unknown_length_train_no_more_than_there_are(tmp_path, scheduler):
    study = opened(tmp_path / "s.db", scheduler=scheduler, max_epochs=30)

    def train(trial):
        for _ in range(20):
            if trial.should_stop:
                return
            trial.report(loss=trial["x"])

    assert work(study, train) == "30 epochs do not hold another trial"
    assert study.history.epochs == 30
    assert [t.step for t in study.trials] == [20, 10]
    assert study.trials[0].state is TrialState.COMPLETED
    last = study.trials[1]
    assert (last.state, last.why) == (TrialState.STOPPED, "30 epochs do not hold another one of it")
    log = read_log(study.store, study.name)
    assert replay(log, *made_parts(study.history.header)).difference == ""


def test_those_that_run_at_the_same_time_share_what_is_left(tmp_path):
    study = opened(tmp_path / "s.db", max_epochs=30)
    trials = study.ask(8)
    for _ in range(100):
        for trial in trials:
            if not trial.should_stop:
                trial.report(loss=trial["x"])
    assert study.history.epochs == 30
    assert not study.history.active
    assert {t.state for t in study.trials} == {TrialState.STOPPED}
    study.steer.budget(epochs=31)
    (again,) = study.ask(2)
    study.tell(again, loss=0.5)
    assert study.history.epochs == 31


def test_many_reports_in_a_moment_do_not_slip_through(tmp_path):
    """Where every trial goes on whatever it says, reports wait for the next append."""
    study = opened(tmp_path / "s.db", max_epochs=120)

    def train(trial):
        for step in trial.epochs():
            trial.report(loss=trial["x"])
            if step == 79:
                break

    work(study, train)
    assert study.history.epochs == 120


def test_repetitions_of_unknown_length_keep_to_the_limit_too(tmp_path):
    study = opened(tmp_path / "s.db", max_epochs=36)
    study.steer.race(3, 3)

    def train(trial):
        for step in trial.epochs():
            trial.report(loss=trial["x"])
            if step == (1 if trial.history.repetitions else 0):
                break

    work(study, train)
    assert study.history.epochs == 36
    search = [t for t in study.trials if t.repeats < 0]
    assert "the search's 27 of 36 epochs do not hold" in search[-1].why
    assert study.trials[-1].why == "36 epochs do not hold another one of it"


def test_a_worker_that_dies_at_the_last_epoch_leaves_nothing_to_train(tmp_path):
    """Its report was written, but not yet that it ends there."""
    study = opened(tmp_path / "s.db", max_epochs=3)
    trial = study.ask()
    trial.report(loss=3.0)
    trial.report(loss=2.0)
    last = ev.Reported(
        time=0.0, trial=0, lease=trial.lease, step=3, metrics={"loss": 1.0}, seconds=1.0
    )
    study._append([last])
    study.release_held([study.trials[0]], "killed", kind="lost")
    assert isinstance(study.next_job(), Done)
    record = study.trials[0]
    assert (record.state, record.step) == (TrialState.STOPPED, 3)
    assert record.why == "3 epochs do not hold another one of it"


def test_who_returns_its_value_has_come_to_its_end_when_the_epochs_are_used_up(tmp_path):
    study = open_study("s", SPACE, minimize="loss", max_epochs=6, storage=tmp_path / "s.db")
    work(study, lambda trial: trial["x"])
    assert [t.state for t in study.trials] == [TrialState.COMPLETED] * 6
    assert replay(read_log(study.store, "s"), *made_parts(study.history.header)).difference == ""
