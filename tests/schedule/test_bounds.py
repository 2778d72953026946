"""Bounds on outcomes: whoever breaks them stands behind whoever keeps them, also before the end."""

from __future__ import annotations

import math

import pytest

import luthier as lt
from luthier.insight.ladder import ladder
from luthier.study.goals import goals_from
from luthier.study.records import TrialRecord, TrialState

SPACE = lt.Space(x=lt.Float(0.0, 1.0), y=lt.Float(0.0, 1.0))
SCHEDULERS = (
    *("auto", "asha", "pasha", "successive halving", "hyperband", "bohb", "dehb"),
    *("median", "significance", "freeze thaw", "population"),
)


def larger_is_better(trial):
    """The lowest losses are all beyond the bound."""
    for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
        trial.report(loss=1 - trial["x"] + 1 / (epoch + 2), size=trial["x"])


def tuned(tmp_path, scheduler, train=larger_is_better, **settings):
    return lt.tune(
        train,
        SPACE,
        minimize="loss",
        subject_to="size <= 0.5",
        epochs=9,
        max_epochs=200,
        name="s",
        scheduler=scheduler,
        searcher="bohb" if scheduler == "bohb" else "random",
        storage=tmp_path / "s.db",
        progress=False,
        **settings,
    )


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_less_than_half_of_the_epochs_go_to_what_breaks_a_bound(tmp_path, scheduler):
    result = tuned(tmp_path, scheduler)
    broken = [trial for trial in result.trials if trial.configuration["x"] > 0.5]
    assert len(broken) >= 6
    # The lower losses would get them four fifths.
    assert sum(t.step for t in broken) < 0.5 * sum(t.step for t in result.trials)
    assert result.best.configuration["x"] <= 0.5


def test_rungs_without_waiting_promote_only_who_keeps_the_bound(tmp_path):
    result = tuned(tmp_path, "hyperband")
    for index, members in result.study.history.brackets.items():
        first = min(t.step for t in members)
        kept = [t for t in members if t.configuration["x"] <= 0.5]
        went_on = [t for t in members if t.step > first]
        if len(kept) >= len(went_on):
            assert all(t.configuration["x"] <= 0.5 for t in went_on), index
    shown = ladder(result.study.history)
    assert max(v for b in shown.brackets for r in b.rungs for v in r.values) < 2.0


def test_where_all_break_it_those_that_break_it_least_go_on(tmp_path):
    def all_break_it(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trial.report(loss=-trial["x"], size=0.6 + trial["x"] + 0 * epoch)

    result = tuned(tmp_path, "successive halving", all_break_it)
    finished = next(t for t in result.trials if t.step == 9)
    assert finished.configuration["x"] == min(t.configuration["x"] for t in result.trials)


def record(*reports):
    trial = TrialRecord(0, {}, 0, TrialState.RUNNING, 0.0)
    for step, (loss, size) in enumerate(reports, 1):
        trial.add(step, loss, {"loss": loss, "size": size}, 0.0)
    return trial


def test_standing():
    goals = goals_from(None, "loss", "size <= 0.5")
    trial = record((3.0, 0.4), (2.0, 0.6), (1.0, 0.9), (0.5, math.nan), (math.nan, 0.9))
    standings = [goals.standing(trial, at) for at in range(5)]
    assert standings[0] == 3.0
    assert 3.0 < standings[1] < standings[2] < math.inf
    assert standings[3] == 0.5  # not measured yet
    assert math.isnan(standings[4])
    assert goals.standing(trial, -2) == 0.5
    assert [goals.breaks(trial, at) for at in range(5)] == [False, True, True, False, False]
    assert goals_from(None, "loss").standing(trial, 1) == 2.0


def test_what_is_recommended_has_been_trained(tmp_path):
    def best_is_quick(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trial.report(loss=abs(trial["x"] - 0.3) + 1 / (epoch + 1), size=0.0)

    result = tuned(tmp_path, "asha", best_is_quick)
    assert result.recommended.step == result.best.step == 9


def test_a_bound_with_its_sign_the_wrong_way_round_is_refused():
    with pytest.raises(lt.StudyError, match="'loss =' is no metric's name"):
        goals_from(None, "loss", "loss => 2")
