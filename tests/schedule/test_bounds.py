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


def test_a_rung_promotes_only_who_keeps_the_bound(tmp_path):
    result = tuned(tmp_path, "hyperband")
    looked_at = 0
    for members in result.study.history.brackets.values():
        first = min(t.step for t in members)
        kept = [t for t in members if t.configuration["x"] <= 0.5]
        went_on = [t for t in members if t.step > first]
        if 0 < len(went_on) <= len(kept):
            looked_at += 1
            assert all(t.configuration["x"] <= 0.5 for t in went_on)
    assert looked_at >= 3
    shown = ladder(result.study.history)
    assert max(v for b in shown.brackets for r in b.rungs for v in r.values) < 2.0


def test_where_all_break_it_those_that_break_it_least_go_on(tmp_path):
    def all_break_it(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trial.report(loss=-trial["x"], size=0.6 + trial["x"] + 0 * epoch)

    result = tuned(tmp_path, "successive halving", all_break_it)
    finished = sorted(t.configuration["x"] for t in result.trials if t.step == 9)
    assert finished
    assert finished == sorted(t.configuration["x"] for t in result.trials)[: len(finished)]


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


@pytest.mark.parametrize(
    "seed", [1, 4]
)  # with which trials of 3 epochs and of 1 were expected to be best
def test_what_is_recommended_has_been_trained(seed):
    """Of trials that are expected to end alike, the one that was trained is taken home."""

    def train(trial):
        for epoch in trial.epochs():
            accuracy = 1 - trial["units"] ** -0.5 - 1 / (epoch + 3)
            trial.report(accuracy=accuracy, megabytes=trial["units"] / 100)

    space = {"units": lt.Int(8, 512, scale="log"), "rate": lt.Float(1e-4, 1.0, scale="log")}
    result = lt.tune(
        train, space, maximize="accuracy", subject_to="megabytes <= 1", epochs=9, max_trials=30,
        storage="memory", progress=False, seed=seed,
    )  # fmt: skip
    assert result.recommended.step == result.best.step == 9
    assert result.best.configuration["units"] > 90


def test_a_bound_with_its_sign_the_wrong_way_round_is_refused():
    with pytest.raises(lt.StudyError, match="'loss =' is no metric's name"):
        goals_from(None, "loss", "loss => 2")
    assert goals_from(None, "loss", "recall@k=5 >= 0.8").constraints[0].metric == "recall@k=5"
