"""Stop, pause, prune, enqueue, budget and space, while the study runs."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import pytest

import luthier
from luthier.errors import SpaceError, StudyError
from luthier.run.opening import open_study
from luthier.run.worker import work
from luthier.search import RandomSearch
from luthier.space import Float, Int, Space
from luthier.study.protocols import Done, Wait
from luthier.study.records import TrialState

SPACE = Space(x=Float(0.0, 1.0), batch_size=Int(8, 256, scale="log"))


@pytest.fixture
def opened(tmp_path):
    def again(**options):
        return open_study("s", storage=tmp_path / "s.db", **options)

    again(space=SPACE, minimize="loss", scheduler=None, epochs=3, max_trials=6)
    return again


def train(trial):
    for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
        trial.report(loss=trial["x"] + 1 / (epoch + 1))


def test_stop_ends_workers_and_starting_again_goes_on(opened):
    study, hand = opened(), opened()

    def stops_in_its_second_epoch(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            if trial.number == 1 and epoch == 1:
                hand.steer.stop("enough for today")
            trial.report(loss=1.0)

    assert work(study, stops_in_its_second_epoch) == "stopped by hand: enough for today"
    assert [t.state for t in study.trials] == [TrialState.COMPLETED, TrialState.QUEUED]
    assert study.trials[1].retries == {"paused": 1}
    hand.steer.go_on()
    work(study, train)
    assert [list(t.steps) for t in study.trials] == [[1, 2, 3]] * 6


def test_pause_makes_workers_wait(opened):
    study, hand = opened(), opened()
    hand.steer.pause()
    assert isinstance(study.next_job(), Wait)
    threading.Timer(0.3, hand.steer.go_on).start()
    began = time.monotonic()
    work(study, train)
    assert time.monotonic() - began > 0.25
    assert len(study.trials) == 6


def test_whoever_asks_a_paused_study_hears_why_there_is_nothing(opened):
    study, hand = opened(), opened()
    hand.steer.pause("the disk is full")
    with pytest.raises(StudyError, match=r"paused by hand: the disk is full.*luthier resume"):
        study.ask()
    hand.steer.go_on()
    study.ask()


def test_prune_ends_a_running_trial_at_its_next_report(opened):
    study, hand = opened(), opened()
    trial = study.ask()
    trial.report(loss=1.0)
    hand.steer.prune(0, "I know this one")
    trial.report(loss=0.5)
    assert trial.should_stop
    assert trial.verdict.reason == "I know this one"
    assert study.trials[0].state is TrialState.STOPPED
    with pytest.raises(StudyError, match="Trial 0 has ended already: it is stopped"):
        hand.steer.prune(0)
    with pytest.raises(StudyError, match="no trial 7 to prune: trials are 0 to 0"):
        hand.steer.prune(7)


def test_the_budget_holds_for_every_process(opened):
    study, hand = opened(), opened()
    hand.steer.budget(trials=2)
    work(study, train)
    assert len(study.trials) == 2
    hand.steer.budget(trials=3, until=time.time() - 1)
    assert isinstance(study.next_job(), Done)
    hand.steer.budget(trials=3)
    work(study, train)
    assert len(study.trials) == 3
    with pytest.raises(StudyError, match="epochs must be a whole number above 0, or None, got 0"):
        hand.steer.budget(epochs=0)


def test_a_narrower_space_keeps_the_trials(opened):
    study, hand = opened(), opened()
    work_two = opened()
    work_two.steer.budget(trials=3)
    work(work_two, train)
    hand.steer.space(SPACE.with_domain("x", Float(0.9, 2.0)), "the best are at the edge")
    hand.steer.budget(trials=20)
    work(study, train)
    assert len(study.trials) == 20
    assert all(0.9 <= t.configuration["x"] <= 2.0 for t in study.trials[3:])
    assert any(t.configuration["x"] > 1.0 for t in study.trials[3:])
    assert all(t.configuration["x"] <= 1.0 for t in study.trials[:3])
    with pytest.raises(SpaceError):
        hand.steer.space({"x": "wide"})


def test_what_was_proposed_before_the_space_was_narrowed_is_proposed_anew(opened):
    study, hand = opened(), opened()

    class Slow(RandomSearch):
        """Takes so long that somebody narrows the space meanwhile."""

        def propose(self, history, space, number, chance):
            found = super().propose(history, space, number, chance)
            if hand.space["x"].high > 0.01:
                hand.steer.space(SPACE.with_domain("x", Float(0.0, 0.01)))
            return found

    study.searcher = Slow()
    study._seconds_to_decide = 60.0  # else the other one would have to wait
    assert study.ask()["x"] <= 0.01


def test_define_by_run_code_goes_on_in_a_widened_space(tmp_path: Path) -> None:
    def train(trial: luthier.Trial) -> None:
        rate = trial.hp.float("learning_rate", 1e-4, 1e-2, scale="log")
        trial.report(loss=abs(math.log10(rate) + 1))

    call = {"minimize": "loss", "searcher": "random", "name": "wide", "progress": False}
    first = luthier.tune(train, max_trials=10, storage=tmp_path / "s.db", **call)
    wider = luthier.Float(1e-4, 1e-1, scale="log")
    first.study.steer.space(luthier.Space(learning_rate=wider), "the best lie at the edge")
    again = luthier.tune(train, max_trials=60, storage=tmp_path / "s.db", **call)
    assert list(again.study.space) == ["learning_rate"]
    assert again.configuration["learning_rate"] > 1e-2
    old = again.trials[0].configuration
    assert (
        again.study.hyperparameters(old).float("learning_rate", 1e-4, 1e-2, scale="log")
        == old["learning_rate"]
    )


def test_a_trial_keeps_its_value_though_the_space_was_narrowed() -> None:
    space = luthier.Space(x=luthier.Float(0.0, 1.0))
    study = luthier.open("narrow", space, minimize="loss", searcher="random", storage="memory")
    trial = study.ask()
    away = 0.0 if trial["x"] > 0.5 else 0.6
    study.steer.space(luthier.Space(x=luthier.Float(away, away + 0.4)))
    assert not study.space["x"].contains(trial["x"])
    assert trial.hp.float("x", 0.0, 1.0) == trial["x"]


def test_code_that_asks_for_less_takes_the_conditions_with_it(tmp_path: Path) -> None:
    space = luthier.Space(
        layers=luthier.Int(1, 3),
        width=luthier.Float(0.0, 1.0).when(layers=[2, 3]),
        deep=luthier.Float(0.0, 1.0).when(layers=3),
    )
    call = {"minimize": "loss", "name": "s", "storage": tmp_path / "s.db", "progress": False}

    def train(trial: luthier.Trial) -> None:
        trial.report(loss=float(trial.hp.int("layers", 1, 2)))

    found = luthier.tune(train, space, define_by_run=True, max_trials=12, searcher="random", **call)
    assert found.study.space["layers"] == luthier.Int(1, 2)
    assert found.study.space["width"].condition == (("layers", (2,)),)
    assert "deep" not in found.study.space


def test_limits_given_without_a_space_leave_the_time_that_was_set_by_hand(tmp_path):
    path = tmp_path / "s.db"
    made = luthier.open(
        "s", {"x": luthier.Float(0, 1)}, minimize="loss", max_trials=3, storage=path
    )
    until = time.time() + 1000
    made.steer.budget(trials=3, until=until)
    history = luthier.open("s", max_trials=9, storage=path).history
    assert (history.limits.trials, history.until) == (9, until)
