"""What the user believes draws proposals, and washes out where trials speak against it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.run.simulation import simulate
from luthier.search.columns import columns_of
from luthier.space import Float, Int, Space

SPACE = Space(
    rate=Float(1e-5, 1.0, scale="log", prior=1e-3, confidence="high"),
    units=Int(8, 512, scale="log", prior=64, confidence="medium"),
    drop=Float(0, 1),
)


def two_valleys(configuration, step):
    """A shallow one where the belief is, and the deepest of all far from it."""
    return sum(min(abs(x - 0.1) + 0.2, 20 * (x - 0.85) ** 2) for x in configuration.values())


@pytest.mark.parametrize("searcher", ["auto", "tpe", "gaussian_process"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sure_belief_does_not_keep_a_searcher_from_the_rest(searcher, seed):
    space = {name: Float(0, 1, prior=0.1, confidence="high") for name in "xy"}
    run = simulate(
        two_valleys, space, minimize="loss", searcher=searcher, scheduler=None, epochs=1,
        workers=1, max_trials=80, seed=seed,
    )  # fmt: skip
    furthest = max(max(t.configuration.values()) for t in run.study.trials)
    assert furthest > 0.6
    early = [t.configuration["x"] for t in run.study.trials[:10]]
    assert np.median(early) < 0.35


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_slope_is_that_of_the_density(rate, units, drop):
    columns, point = columns_of(SPACE), np.array([rate, units, drop])
    slope = columns.belief_slope(point[None])[0]
    for column in range(3):
        step = np.eye(3)[column] * 1e-6
        above, below = columns.log_belief(np.stack([point + step, point - step]))
        assert slope[column] == pytest.approx((above - below) / 2e-6, rel=1e-3, abs=1e-3)


def test_the_density_is_one_and_draws_follow_it():
    columns = columns_of(SPACE)
    edges = np.linspace(0, 1, 2001)
    middles = (edges[1:] + edges[:-1]) / 2
    points = np.full((2000, 3), 0.5)
    points[:, 0] = middles
    other = columns.log_belief(np.full((1, 3), 0.5))[0]
    own = columns_of(Space(units=SPACE.domains["units"])).log_belief(np.full((1, 1), 0.5))[0]
    density = np.exp(columns.log_belief(points) - own)
    assert np.isfinite(other)
    assert density.mean() == pytest.approx(1.0, abs=1e-3)
    draws = columns.drawn(np.random.default_rng(0).random((20_000, 3)))[:, 0]
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        expected = density[(middles >= low) & (middles < high)].sum() / 2000
        assert np.mean((draws >= low) & (draws < high)) == pytest.approx(expected, abs=0.012)
