"""Halton's sequence: the published one, scrambled by the study's seed, evener than chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc
from told import best_after, told

import luthier
from luthier.errors import SpaceError
from luthier.search import Halton, RandomSearch
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.study.chance import Chance
from luthier.study.history import History


def points(searcher, space, count, seed=0):
    configurations = (
        searcher.propose(History(), space, n, Chance(seed, ("trial", n, "configuration")))
        for n in range(count)
    )
    return np.array([list(c.values()) for c in configurations])


def unit(dimension):
    return Space({f"x{i}": Float(0, 1) for i in range(dimension)})


@pytest.mark.parametrize("dimension", [1, 3, 8])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_points_are_those_of_scipy(dimension, seed):
    engine = qmc.Halton(dimension, scramble=True, rng=np.random.Generator(np.random.Philox(seed)))
    np.testing.assert_array_equal(points(Halton(), unit(dimension), 150, seed), engine.random(150))


@pytest.mark.parametrize("count", [50, 77, 200])  # no power of two: it has no best places to stop
def test_they_are_evener_than_random_ones(count):
    for seed in range(5):
        even, drawn = (
            qmc.discrepancy(points(s, unit(4), count, seed)) for s in (Halton(), RandomSearch())
        )
        assert even < 0.4 * drawn


def test_every_column_is_balanced_in_its_own_base():
    found = points(Halton(), unit(3), 30, seed=4)
    for column, base in zip(found.T, (2, 3, 5), strict=True):
        assert sorted(np.floor(column * base).astype(int)) == sorted([*range(base)] * (30 // base))


def test_many_hyperparameters_and_too_many():
    configuration = Halton().propose(History(), unit(1000), 3, Chance(0, ("trial", 3)))
    assert len(set(configuration.values())) > 990
    with pytest.raises(SpaceError, match=r"up to 1000 hyperparameters, got 1001\. Sobol"):
        Halton().propose(History(), unit(1001), 3, Chance(0))


def test_a_study_in_a_mixed_space_with_constraints():
    space = Space(
        a=Float(0, 1),
        b=Float(1e-4, 1, scale="log"),
        kind=Choice({"x": Space(depth=Int(1, 5)), "y": Space()}),
        flag=Bool(),
        constraints=["a + b <= 0.8"],
    )
    study = told(space, lambda c: c["a"], 100, searcher=Halton(), seed=5)
    configurations = [t.configuration for t in study.trials]
    assert all(space.check(dict(c)) == c and c["a"] + c["b"] <= 0.8 for c in configurations)
    assert len({c["a"] for c in configurations}) == 100
    assert 40 < sum(c["kind"] == "x" for c in configurations) < 60
    assert study.best_value < 0.03


def test_constraints_that_leave_nothing_are_refused():
    space = Space(a=Float(0, 1), constraints=["a > 2"])
    with pytest.raises(SpaceError, match=r"\(a > 2\)\. Loosen them"):
        Halton().propose(History(), space, 0, Chance(0))


def test_it_does_not_wait_for_what_is_pending():
    study = luthier.open(
        "pending", unit(2), minimize="loss", searcher=Halton(), seed=3, storage="memory"
    )
    asked = [list(study.ask().configuration.values()) for _ in range(20)]
    np.testing.assert_array_equal(asked, points(Halton(), unit(2), 20, seed=3))


def test_an_empty_space_and_a_line():
    assert Halton().propose(History(), Space(), 3, Chance(0)) == {}
    assert best_after(Space(x=Float(0, 1)), lambda c: abs(c["x"] - 0.37), 60, Halton()) < 0.02
    assert Halton().size(unit(2)) is None
