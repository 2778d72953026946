"""What one hyperparameter does when the others are tuned for each of its values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from taught import taught

import luthier
from luthier import insight
from luthier.errors import StudyError

SPACE = luthier.Space(
    layers=luthier.Int(1, 3),
    rate=luthier.Float(1e-4, 1.0, scale="log"),
    kind=luthier.Choice("a", "b"),
)


def by_layers(c, _):
    return 0.1 * c["layers"] + (math.log10(c["rate"]) + 2) ** 2 + (0.5 if c["kind"] == "b" else 0.0)


def test_it_compares_the_best_over_the_others_at_equal_budgets():
    study = taught(SPACE, by_layers, 120)
    found = insight.isolation(study, "layers")
    assert found.roles == insight.Roles("layers", ("rate", "kind"), ())
    assert [v.label for v in found.values] == ["1", "2", "3"]
    assert found.budget == min(v.trials for v in found.values)
    assert sum(v.trials for v in found.values) == 120
    medians = [v.median for v in found.values]
    assert medians == sorted(medians)
    for value, layers in zip(found.values, (1, 2, 3), strict=True):
        assert value.low <= value.median <= value.high
        mine = [t for t in study.trials if t.configuration["layers"] == layers]
        assert value.best == min(mine, key=lambda t: t.best_loss).number
    assert found.words.startswith("layers=1 ")


def test_the_median_of_the_best_of_m_is_that_of_many_draws():
    study = taught(SPACE, by_layers, 60)
    found = insight.isolation(study, "layers")
    generator = np.random.default_rng(0)
    for value in found.values:
        mine = [t.best_loss for t in study.trials if str(t.configuration["layers"]) == value.label]
        draws = generator.choice(mine, (4001, found.budget)).min(axis=1)
        assert np.mean(draws < value.median) <= 0.53
        assert np.mean(draws <= value.median) >= 0.47
        assert np.mean(draws <= value.high) >= 0.93


def test_more_trials_give_a_value_no_advantage():
    space = luthier.Space(kind=luthier.Choice("a", "b"), x=luthier.Float(0.0, 1.0))
    study = luthier.open("unequal", space, minimize="loss", searcher="random", storage="memory")
    for number in range(200):
        study.enqueue({"kind": "b" if number % 20 == 0 else "a", "x": (number * 0.618 + 0.25) % 1})
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    found = insight.isolation(study, "kind")
    a, b = found.values
    assert (a.trials, b.trials, found.budget) == (190, 10, 10)
    assert a.median > 0.03  # the best of all 190 is below 0.01
    assert a.low < b.median < a.high
    assert "is no clear winner over" in found.words


def test_trials_are_compared_at_the_same_epoch():
    space = luthier.Space(c=luthier.Choice("a", "b"))

    def by_number(c, number):
        return [1 / (epoch + 1) for epoch in range(8 if number % 2 == 0 else 4)]

    found = insight.isolation(taught(space, by_number, 24, noisy=True), "c")
    assert found.epochs == 8
    assert all(v.median == 1 / 8 for v in found.values)
    assert sum(v.trials for v in found.values) == 12

    def by_value(c, _):
        return [1 / (epoch + 1) for epoch in range(8 if c["c"] == "a" else 2)]

    found = insight.isolation(taught(space, by_value, 24, noisy=True), "c")
    assert found.epochs == 2
    assert {v.median for v in found.values} == {1 / 2}


def test_what_is_neither_scientific_nor_nuisance_is_held_as_in_the_best_trial():
    study = taught(SPACE, by_layers, 150)
    found = insight.isolation(study, "layers", nuisance=["rate"])
    assert found.roles.fixed == ("kind",)
    of_kind = sum(t.configuration["kind"] == "a" for t in study.trials)
    assert sum(v.trials for v in found.values) == of_kind
    assert "given kind as in the best trial" in found.words
    near = insight.isolation(study, "kind", nuisance="layers", bins=2)
    best = study.best.configuration["rate"]
    held = [t for t in study.trials if abs(math.log10(t.configuration["rate"] / best)) <= 1]
    assert sum(v.trials for v in near.values) == len(held)


def test_a_range_is_cut_evenly_on_its_own_scale():
    found = insight.isolation(taught(SPACE, by_layers, 200), "rate", bins=4)
    assert [v.label for v in found.values] == [
        "0.0001 … 0.001", "0.001 … 0.01", "0.01 … 0.1", "0.1 … 1",
    ]  # fmt: skip
    assert [v.place for v in found.values] == [0.125, 0.375, 0.625, 0.875]


def test_diverged_trials_used_their_budget():
    def curve(c, number):
        return math.nan if c["kind"] == "b" and c["x"] > 0.02 else 1.0 + c["x"]

    space = luthier.Space(kind=luthier.Choice("a", "b"), x=luthier.Float(0.0, 1.0))
    a, b = insight.isolation(taught(space, curve, 80), "kind").values
    assert a.trials + b.trials == 80
    assert a.median == pytest.approx(1.0, abs=0.1)
    assert b.high == math.inf


def test_a_hyperparameter_is_looked_at_where_it_is_active():
    sgd = luthier.Space(momentum=luthier.Choice(0.5, 0.9))
    space = luthier.Space(optimizer=luthier.Choice({"sgd": sgd, "adam": luthier.Space()}))
    study = taught(space, lambda c, n: 0.1 * n, 40, noisy=True)
    found = insight.isolation(study, "momentum")
    active = sum(t.configuration["optimizer"] == "sgd" for t in study.trials)
    assert found.roles.scientific == "optimizer.sgd.momentum"
    assert sum(v.trials for v in found.values) == active


def test_a_metric_to_maximize_keeps_its_direction():
    study = taught(SPACE, lambda c, n: 0.5 + 0.1 * c["layers"], 60, maximize="loss", minimize=None)
    found = insight.isolation(study, "layers")
    assert [v.median for v in found.values] == pytest.approx([0.6, 0.7, 0.8])
    assert found.words.startswith("layers=3 beats 2 (0.7): loss 0.8")


def test_what_cannot_be_isolated_says_so():
    study = taught(SPACE, by_layers, 30)
    with pytest.raises(
        StudyError, match=r"'layer' is no hyperparameter .* Did you mean 'layers'\?"
    ):
        insight.isolation(study, "layer")
    with pytest.raises(StudyError, match="both the scientific"):
        insight.isolation(study, "layers", nuisance=["layers"])
    with pytest.raises(StudyError, match="bins must be at least 2"):
        insight.isolation(study, "rate", bins=1)
    few = taught(SPACE, by_layers, 2)
    with pytest.raises(StudyError, match="needs 3 trials at two of its values at least; there are"):
        insight.isolation(few, "layers")


def test_the_picture_shows_the_values():
    found = insight.isolation(taught(SPACE, by_layers, 60), "layers")
    axes = insight.picture(found)
    assert axes.lines[0].get_ydata().tolist() == [v.median for v in found.values]
    assert [t.get_text().split("\n")[0] for t in axes.get_xticklabels()] == ["1", "2", "3"]
    (lines,) = axes.collections
    assert [s[:, 1].tolist() for s in lines.get_segments()] == [
        pytest.approx([v.low, v.high]) for v in found.values
    ]
