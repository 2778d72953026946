"""The best trial is the first of the ranking, whatever becomes of the others meanwhile."""

from __future__ import annotations

import pytest

import luthier as lt
from luthier.run.opening import open_study
from luthier.study import events as ev
from luthier.study.history import fold
from luthier.study.log import read_log
from luthier.study.snapshot import decode, encode

SPACE = lt.Space(x=lt.Float(0.0, 1.0), kernels=lt.Choice(((3, 3), (5, 5)), ((5, 5), (3, 3))))


@pytest.fixture
def study():
    return open_study("s", SPACE, maximize="accuracy", max_trials=9, storage="memory")


def first_of(history):
    return (history.ranking() or [None])[0]


def test_a_trial_that_failed_is_the_best_again_when_it_is_tried_again(study):
    trials = study.ask(2)
    trials[0].report(accuracy=0.9)
    trials[1].report(accuracy=0.5)
    study.fail(trials[0], "error", "a bug")
    assert study.best.number == 1
    study.retry_errors()
    assert study.best.number == 0
    again = study.ask()
    assert again.number == 0  # from its beginning: there is no checkpoint
    assert study.best is first_of(study.history) is study.trials[1]
    again.report(accuracy=0.9)
    assert study.best.number == 0


def test_the_only_trial_is_the_best_again(study):
    trial = study.ask()
    trial.report(accuracy=0.9)
    study.fail(trial, "error", "a bug")
    assert study.history.best is None
    study.retry_errors()
    assert study.best.number == 0


def test_of_equal_trials_the_earlier_is_the_best_whoever_reported_first(study):
    first, second = study.ask(2)
    second.report(accuracy=0.5)
    first.report(accuracy=0.5)
    assert study.best is first_of(study.history) is study.trials[0]


def test_with_constraints_a_trial_that_is_trained_again_is_held_against_the_best():
    study = open_study(
        "s", SPACE, minimize="loss", subject_to="latency <= 20", max_trials=9, storage="memory"
    )
    first, second = study.ask(2)
    first.report(loss=0.9, latency=10)
    second.report(loss=0.5, latency=30)
    study.fail(first, "error", "a bug")
    assert study.best.number == 1
    study.retry_errors()
    assert study.best is first_of(study.history) is study.trials[0]


def test_the_best_is_the_first_of_the_ranking_after_every_event(study):
    for accuracy in (0.5, 0.9, 0.9, 0.7):
        trial = study.ask()
        trial.report(accuracy=accuracy)
        if accuracy == 0.9:
            study.fail(trial, "error", "a bug")
            study.retry_errors()
            trial = study.ask()
            trial.report(accuracy=accuracy)
        study.tell(trial)
    log = list(read_log(study.store, "s"))
    for length in range(1, len(log) + 1):
        history = fold(log[:length])
        assert history.best is first_of(history)


def test_tuples_within_tuples_come_back_from_the_log_and_from_a_snapshot(study):
    study.enqueue({"x": 0.5, "kernels": ((5, 5), (3, 3))})
    study.tell(study.ask(), accuracy=0.5)
    for history in (fold(read_log(study.store, "s")), decode(encode(study.history))):
        found = history.trials[0].configuration["kernels"]
        assert found == ((5, 5), (3, 3))
        assert history.space["kernels"].encode(found) is not None
        assert {found: 1}  # the training code may look it up


def test_enqueued_trials_take_none_of_a_stage_away(study):
    now = 0.0
    begun = ev.StageBegun(
        time=now, stage=0, name="x", hyperparameters=["x"], live=[], around={},
        narrowed={}, trials=3, reason="",
    )  # fmt: skip
    study.append([begun])
    study.enqueue({"x": 0.5, "kernels": ((5, 5), (3, 3))})
    asked, proposed = study.ask(2)
    stage = study.history.stages[0]
    assert (asked["x"], stage.trials) == (0.5, 1)
    assert [study.trials[t.number].stage for t in (asked, proposed)] == [-1, 0]
    again = fold(read_log(study.store, "s"))
    assert (again.stages[0].trials, [t.stage for t in again.trials]) == (1, [-1, 0])
