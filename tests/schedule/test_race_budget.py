"""Races that the epochs do not hold: said before they begin, and when they have ended."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from racing import UNIT, noisy, train, tune

import luthier as lt
from luthier.app.command import commands
from luthier.errors import LuthierWarning
from luthier.insight.race import race
from luthier.run.opening import open_study
from luthier.run.simulation import simulate
from luthier.run.worker import work
from luthier.schedule.race import BRACKET

SPENT = {"epochs": 3, "max_epochs": 36, "max_trials": None, "scheduler": None}


def raise_to(said: str) -> int:
    (found,) = re.findall(r"max_epochs to (\d+)", said)
    return int(found)


def test_a_study_that_has_spent_its_epochs_is_not_promised_a_race(tmp_path):
    tune(tmp_path, **SPENT)
    with pytest.warns(
        LuthierWarning, match="36 epochs leave the race of 3 finalists 0 trainings"
    ) as told:
        again = tune(tmp_path, **SPENT, finalists=3)
    assert not again.study.history.repetitions
    plan = again.study.scheduler.planned(again.study.history, again.study.limits)
    assert [(b.index, b.epochs) for b in plan.brackets] == [(0, 36)]
    assert again.race.undecided.startswith("36 epochs held 0 of the 9 trainings")
    enough = raise_to(str(told[0].message))
    done = tune(tmp_path, **(SPENT | {"max_epochs": enough}), finalists=3)
    assert done.race.winner is not None
    assert done.race.undecided == ""


def test_a_race_that_the_epochs_cannot_decide_is_said_to_before_it_begins(tmp_path):
    with pytest.warns(LuthierWarning, match="the race of 3 finalists 4 trainings") as told:
        result = tune(tmp_path, **SPENT, finalists=3)
    assert len(result.study.history.repetitions) == 4
    assert result.race.winner is None
    assert result.race.undecided.startswith("36 epochs held 4 of the 9 trainings")
    fresh = SPENT | {"max_epochs": raise_to(str(told[0].message)), "finalists": 3}
    (tmp_path / "anew").mkdir()
    assert tune(tmp_path / "anew", **fresh).race.winner is not None
    # Those who were raced stay finalists beside what a longer search finds.
    (enough,) = re.findall(r"--epochs (\d+)", result.race.undecided)
    assert tune(tmp_path, **fresh | {"max_epochs": int(enough)}).race.winner is not None


@pytest.mark.parametrize("scheduler", ["hyperband", "asha", "median", None])
@pytest.mark.parametrize("limits", [{"max_epochs": 120}, {"max_epochs": 200, "max_trials": 14}])
def test_what_is_told_to_be_enough_is_enough(scheduler, limits):
    call = {"scheduler": scheduler, "searcher": "random", "epochs": 9, "finalists": 4, "workers": 3}
    study = simulate(noisy, UNIT, minimize="loss", **call, **limits).study
    said = study.scheduler.doubt(study.history, study.limits)
    assert (said == "") == (race(study.history).winner is not None)
    if said:
        done = simulate(
            noisy, UNIT, minimize="loss", **call, **limits | {"max_epochs": raise_to(said)}
        )
        assert race(done.study.history).winner is not None


def to_race(count, **limits):
    """Return a study of trainings of one epoch whose best *count* are to be raced."""
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", searcher="random", epochs=1, scheduler=None,
        **limits,
    )  # fmt: skip
    study.steer.race(count, 3)
    return study


def test_fewer_finalists_that_fit_are_named():
    study = to_race(4, max_epochs=24)
    said = study.scheduler.doubt(study.refresh(), study.limits)
    assert said.endswith("(luthier budget STUDY --epochs 36), or finalists=2.")
    study.steer.race(2, 3)
    assert study.scheduler.doubt(study.refresh(), study.limits) == ""


def test_one_configuration_has_nobody_to_race_against():
    study = to_race(3, max_trials=1)
    assert all(
        b.index != BRACKET for b in study.scheduler.planned(study.refresh(), study.limits).brackets
    )
    work(study, train)
    found = race(study.history)
    assert found.over
    assert "nobody to race it against" in found.undecided
    from luthier.app.words import race_lines

    (line,) = race_lines(found, "loss")
    assert line.startswith("race of 1 finalist on new seeds: undecided: there is one configuration")


def test_one_trial_of_many_to_come_does_not_decide_that_there_is_nobody_to_race():
    study = open_study("s", UNIT, minimize="loss", max_trials=20, storage="memory")
    study.steer.race(3, 3)
    study.tell(study.ask(), loss=1.0)
    result = race(study.history)
    assert result is not None
    assert result.undecided == ""


def test_a_race_that_may_still_be_decided_is_not_undecided(tmp_path):
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", searcher="random", epochs=1, max_trials=4,
        scheduler=None,
    )  # fmt: skip
    study.steer.race(3, 3)
    for _ in range(6):
        trial = study.ask()
        study.tell(trial, loss=noisy(trial.configuration, 1, trial.seed))
    found = race(study.history)
    assert (len(study.history.repetitions), found.winner, found.undecided) == (2, None, "")


def test_the_command_says_what_a_finished_study_lacks(tmp_path):
    tune(tmp_path, **SPENT)
    call = ["race", "s", "--finalists", "3", "--storage", str(tmp_path / "s.db")]
    done = CliRunner().invoke(commands, call, catch_exceptions=False)
    assert "3 finalists are raced" in done.stderr
    assert "36 epochs leave the race of 3 finalists 0 trainings of 3 epochs" in done.stderr
    shown = CliRunner().invoke(commands, ["show", *call[1:2], *call[4:]], catch_exceptions=False)
    assert "undecided: 36 epochs held 0 of the 9 trainings" in shown.output
    assert "too early" not in shown.output
    assert lt.open("s", storage=tmp_path / "s.db").history.race is not None
