"""BOHB's model against Algorithm 2 of its paper."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from told import proposal

import luthier
from luthier.errors import StudyError
from luthier.run.simulation import simulate
from luthier.schedule import Hyperband
from luthier.search import BOHB, Auto
from luthier.search.bohb import _by_objectives, _largest
from luthier.space import Choice, Float, Space
from luthier.study.history import History
from luthier.study.log import read_log

PLANE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))


def bowl(c, step):
    return (c["x"] - 0.7) ** 2 + (c["y"] - 0.2) ** 2 + 0.3 / step


def test_the_model_is_of_the_largest_budget_that_has_enough():
    """Algorithm 2, line 2: arg max over b with |D_b| ≥ N_min + 2, N_min = d + 1 = 3."""
    done = simulate(bowl, PLANE, minimize="loss", workers=1, scheduler="bohb", epochs=27)
    study = done.study
    kept, budgets = History(), []
    for number, event in read_log(study.store, study.name):
        kept.apply(number, event)
        if kept.active:
            continue
        arrived = {b: sum(t.step >= b for t in kept.trials) for b in (1, 3, 9, 27)}
        enough = [b for b, count in arrived.items() if count >= 5]
        expected = (max(enough), arrived[max(enough)]) if enough else (0, 0)
        budget, trials = _largest(kept, PLANE)
        assert (budget, len(trials)) == expected
        budgets.append(expected[0])
    assert set(budgets) == {0, 1, 3, 9, 27}
    assert "kernel densities of 8 trials at epoch 27" in study.searcher.explain(kept, PLANE)


def test_the_ratio_of_densities_chooses_among_the_draws():
    """Section 4.1: of N_s draws from l, widened by b_w, the one with the highest l/g comes first."""
    rng = np.random.default_rng(0)
    points = rng.random((40, 2))
    losses = ((points - [0.7, 0.2]) ** 2).sum(axis=1)
    ranked = BOHB()._ranked(points, losses, PLANE, np.random.default_rng(1))
    assert ranked.shape == (64, 2)
    away = np.abs(ranked - [0.7, 0.2]).max(axis=1)
    assert away[:16].mean() < away[-16:].mean()
    good = points[np.argsort(losses)[:6]]  # 15 % of 40
    near = np.abs(ranked[0] - good).max(axis=1).min()
    assert near < 3 * 3 * 1.06 * good.std(axis=0).max() * 6 ** (-1 / 6)


def test_a_third_is_drawn_at_random():
    done = simulate(
        bowl, PLANE, minimize="loss", workers=1, scheduler="bohb", epochs=9, max_trials=200
    )
    x = np.array([[t.configuration["x"], t.configuration["y"]] for t in done.study.trials[60:]])
    near = np.abs(x - [0.7, 0.2]).max(axis=1) < 0.15
    assert 0.4 < near.mean() < 0.85  # at random it would be 0.09


def test_better_than_random_in_the_same_brackets():
    goal = dict(zip("abcdef", (0.7, 0.2, 0.5, 0.9, 0.35, 0.6), strict=True))
    space = Space(**{name: Float(0.0, 1.0) for name in goal})

    def loss(c, step):
        return sum((c[name] - at) ** 2 for name, at in goal.items()) + 0.3 / step

    found = {
        searcher: [
            simulate(
                loss, space, minimize="loss", workers=4, scheduler=Hyperband(27),
                searcher=searcher, max_epochs=1000, seed=seed,
            ).study.best_value - 0.3 / 27
            for seed in range(5)
        ]
        for searcher in ("bohb", "random")
    }  # fmt: skip
    assert statistics.median(found["bohb"]) < 0.7 * statistics.median(found["random"])


def test_what_is_inactive_or_diverged_counts():
    space = Space(
        optimizer=Choice({"sgd": Space(momentum=Float(0.0, 1.0)), "adam": Space()}),
        rate=Float(1e-4, 1.0, scale="log"),
    )

    def loss(c, step):
        if c["rate"] > 0.05:
            return math.nan
        away = abs(math.log10(c["rate"]) + 2.0)
        return away + (abs(c["optimizer.sgd.momentum"] - 0.9) if c["optimizer"] == "sgd" else 0.5)

    done = simulate(
        loss, space, minimize="loss", scheduler="bohb", epochs=9, max_trials=120, workers=2
    )
    trials = done.study.trials
    rates = [t.configuration["rate"] for t in trials]
    assert sum(r > 0.05 for r in rates[60:]) < 1.2 * sum(
        r > 0.05 for r in rates[:30]
    )  # of twice as many
    assert done.study.best_value < 0.3


def test_another_searcher_beside_bohb_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"brings its own, 'bohb'.*'hyperband'"):
        luthier.open(
            "s", PLANE, minimize="loss", scheduler="bohb", searcher="tpe", epochs=9,
            storage=tmp_path / "s.db",
        )  # fmt: skip
    study = luthier.open(
        "s", PLANE, minimize="loss", scheduler="bohb", searcher=BOHB(good=0.2), epochs=9,
        storage=tmp_path / "s.db",
    )  # fmt: skip
    assert study.searcher == BOHB(good=0.2)


def test_a_narrowed_space_takes_the_largest_budget_with_enough_trials_in_it():
    study = simulate(
        bowl, PLANE, minimize="loss", workers=1, searcher="auto", scheduler="asha", epochs=27,
        max_trials=100,
    ).study  # fmt: skip
    at_the_top = sorted(t.configuration["x"] for t in study.trials if t.step == 27)
    assert len(at_the_top) >= 2
    narrower = Float(0.0, (at_the_top[0] + at_the_top[1]) / 2)
    study.steer.space({"x": narrower, "y": Float(0.0, 1.0)})
    history, space = study.history, study.space
    budget, trials = _largest(history, space)
    assert 1 <= budget < 27
    assert len(trials) >= 5
    assert all(space["x"].contains(t.configuration["x"]) for t in trials)
    for number in range(100, 104):
        assert space.check(proposal(study, Auto(), number))


def test_several_objectives_are_looked_for_along_the_front():
    def bowls(c, step):  # whose best places are those between x = 0.2 and x = 0.8
        away = (c["y"] - 0.5) ** 2
        return {"left": (c["x"] - 0.2) ** 2 + away, "right": (c["x"] - 0.8) ** 2 + away}

    study = simulate(
        bowls, PLANE, minimize=["left", "right"], searcher=BOHB(at_random=0.0), scheduler=None,
        epochs=1, max_trials=100, workers=1,
    ).study  # fmt: skip
    found = np.array([trial.configuration["x"] for trial in study.trials[20:]])
    assert 0.25 < np.mean(found > 0.5) < 0.75
    assert found.std() > 0.1


def test_what_was_never_measured_at_a_budget_leaves_the_order_to_the_rest():
    measured = np.array([[1.0, math.inf], [0.5, math.inf], [2.0, math.inf]])
    assert np.argsort(_by_objectives(measured)).tolist() == [1, 0, 2]
    assert np.isfinite(_by_objectives(np.array([[1.0, 3.0], [2.0, math.inf]]))).all()


@pytest.mark.parametrize(
    "wrong", [{"at_random": 1.5}, {"good": 0}, {"candidates": 0}, {"widening": "a"}]
)
def test_arguments_that_cannot_be(wrong):
    with pytest.raises(StudyError, match=next(iter(wrong))):
        BOHB(**wrong)
