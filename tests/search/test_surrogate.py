"""The models behind the guided searchers: their formulas against differences, integrals and references."""

from __future__ import annotations

import math

import numpy as np
import pytest

from luthier.search.columns import columns_of
from luthier.search.surrogate import gaussian
from luthier.search.surrogate.acquisition import (
    Acquisition,
    Below,
    Cheaper,
    Improvement,
    log_improvement,
    log_positive,
)
from luthier.search.surrogate.parzen import density
from luthier.search.surrogate.skew import evened
from luthier.space import Bool, Choice, Constant, Float, Int, Space

GENERATOR = np.random.default_rng(7)
POINTS = GENERATOR.random((40, 3))
VALUES = np.sin(6 * POINTS[:, 0]) + POINTS[:, 1]
VALUES = (VALUES - VALUES.mean()) / VALUES.std()
GROUPS = np.array([0, 1, 1])  # two features share a lengthscale


def slope(function, at, step=1e-5):
    return np.array(
        [(function(at + e) - function(at - e)) / (2 * step) for e in step * np.eye(len(at))]
    )


@pytest.mark.parametrize("bent", [False, True])
def test_the_gradient_of_the_posterior_of_hyperparameters(bent):
    theta = np.array([-1.0, 0.3, 0.2, -3.0, *[-0.5] * bent])
    terms = gaussian.trend_terms(POINTS)
    prior = gaussian._prior(2, 1.9, bent=bent)

    def cost(t):
        trend = terms @ terms.T if bent else None
        return gaussian._negative_log_posterior(t, POINTS, GROUPS, VALUES, 2, prior, trend)

    np.testing.assert_allclose(cost(theta)[1], slope(lambda t: cost(t)[0], theta), rtol=1e-5)


@pytest.mark.parametrize("trend", [0.0, 0.8])
def test_the_process_equals_its_textbook_formulas(trend):
    """Rasmussen & Williams 2006, eqs. 2.25 and 2.26, with a constant mean by least squares."""
    learned = gaussian.Hyperparameters(np.array([0.4, 0.7]), 1.3, 0.01, trend)
    process = gaussian.condition(learned, GROUPS, POINTS, VALUES)
    places = GENERATOR.random((5, 3))
    lengths = np.array([0.4, 0.7, 0.7])

    def kernel(a, b):
        r = np.sqrt((((a[:, None] - b[None]) / lengths) ** 2).sum(-1))
        u, v = 2 * a[:, None] - 1, 2 * b[None] - 1
        bent = (u * v + (u**2 - 1 / 3) * (v**2 - 1 / 3)).sum(-1) / 3
        matern = 1.3 * (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r)
        return matern + trend * bent

    noisy = kernel(POINTS, POINTS) + (0.01 + 1e-8) * np.eye(40)
    ones = np.linalg.solve(noisy, np.ones(40))
    mean = ones @ VALUES / ones.sum()
    across = kernel(places, POINTS)
    expected = mean + across @ np.linalg.solve(noisy, VALUES - mean)
    before = np.diagonal(kernel(places, places))
    variance = before - np.einsum("ij,ji->i", across, np.linalg.solve(noisy, across.T))
    found = process.predict(places)
    np.testing.assert_allclose(found[0], expected, rtol=1e-7)
    np.testing.assert_allclose(found[1], variance, rtol=1e-6)


@pytest.mark.parametrize("trend", [0.0, 0.8])
def test_the_gradient_of_the_acquisition(trend):
    learned = gaussian.Hyperparameters(np.array([0.4, 0.7]), 1.3, 0.01, trend)
    objective = gaussian.condition(learned, GROUPS, POINTS, VALUES)
    feasible = gaussian.condition(learned, GROUPS, POINTS, np.sign(VALUES))
    acquisition = Acquisition(
        (Improvement(objective, -1.2), Below(feasible, 0.3), Cheaper(feasible, 0.7))
    )
    places = GENERATOR.random((6, 3))
    values, slopes = acquisition.gradients(places)
    np.testing.assert_allclose(values, acquisition(places))
    for place, found in zip(places, slopes, strict=True):
        expected = slope(lambda x: acquisition(x[None, :])[0], place)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("z", "expected"),  # log(φ(z) + z Φ(z)), by mpmath with 60 digits
    [
        (2.0, 0.6973835457882283),
        (0.0, -0.9189385332046727),
        (-3.0, -7.869686059603029),
        (-10.0, -55.55312203612236),
        (-50.0, -1258.744182868461),
        (-300.0, -45012.32653681455),
    ],
)
def test_expected_improvement_keeps_its_digits_where_it_vanishes(z, expected):
    found, _, _ = log_improvement(np.array([-z]), np.array([1.0]), 0.0)
    assert found[0] == pytest.approx(expected, rel=1e-8)


def test_a_coin_is_positive_every_second_time():
    assert log_positive(np.array([0.0]), np.array([2.0]))[0][0] == pytest.approx(math.log(0.5))


def test_a_bowl_is_a_trend_and_a_wave_is_none():
    points = GENERATOR.random((30, 6))
    for values, bent in (
        ((points - 0.3) ** 2 @ np.arange(1.0, 7.0), True),
        (np.sin(9 * points[:, 0]), False),
    ):
        values = (values - values.mean()) / values.std()
        learned = gaussian.fit(points, np.arange(6), values, 6, bent=True)
        assert (learned.trend > 0.3) == bent
        known = gaussian.condition(learned, np.arange(6), points, values)
        plain = gaussian.fit(points, np.arange(6), values, 6)
        assert plain.trend == 0.0
        if bent:  # where there is one, the process knows it far from what it has seen
            corner = np.zeros((1, 6))
            without = gaussian.condition(plain, np.arange(6), points, values)
            assert known.predict(corner)[1] < 0.5 * without.predict(corner)[1]


def test_hyperparameters_tell_what_matters():
    points = GENERATOR.random((60, 4))
    values = np.sin(5 * points[:, 1])
    values = (values - values.mean()) / values.std()
    learned = gaussian.fit(points, np.arange(4), values, 4)
    assert learned.lengths[1] < 0.2 * np.delete(learned.lengths, 1).min()
    assert learned.noise < 1e-3
    noisy = values + 0.5 * GENERATOR.standard_normal(60)
    assert 0.1 < gaussian.fit(points, np.arange(4), noisy, 4).noise < 0.5


def test_evened_losses_keep_their_order_and_lose_their_tail():
    losses = np.r_[np.linspace(0.1, 0.3, 20), 5.0, 1e9, 1e30]
    found = evened(losses)
    assert np.all(np.diff(found) >= 0)
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found.std() == pytest.approx(1)
    assert np.ptp(found[:20]) > 0.5  # the good ones can be told apart
    assert np.all(evened(np.full(5, 3.0)) == 0)


def test_densities_integrate_to_one():
    space = Space(x=Float(0, 1, prior=0.3), kind=Choice("a", "b", "c", prior="b"))
    columns = columns_of(space)
    centres = columns.rounded(GENERATOR.random((9, 2)))
    found = density(columns, (0, 1), centres)
    x = (np.arange(2000) + 0.5) / 2000
    total = sum(
        np.exp(found.log(np.stack([x, np.full(2000, (k + 0.5) / 3)], axis=1))).mean() / 3
        for k in range(3)
    )
    # The belief in x is not normalised where the range cuts it off: it is one kernel of ten.
    assert total == pytest.approx(1.0, abs=0.1)
    drawn = columns.rounded(found.draw(4000, np.random.default_rng(0)))
    shares = [(np.abs(drawn[:, 1] - (k + 0.5) / 3) < 0.1).mean() for k in range(3)]
    assert sum(shares) == pytest.approx(1.0)


def test_columns_round_like_their_domains():
    space = Space(
        a=Int(1, 300, scale="log"),
        b=Int(3, 17, step=2),
        c=Float(0, 1, step=0.1),
        d=Choice("x", "y", "z"),
        e=Bool().when(d=("y", "z")),
        f=Float(1e-5, 1, scale="log").when(e=True),
    )
    columns = columns_of(space)
    points = GENERATOR.random((300, 6))
    for place in columns.rounded(points):
        configuration = space.decode(place)
        np.testing.assert_allclose(space.encode(configuration), place, atol=1e-12)
        assert space.check(configuration) == configuration
        for near in columns.neighbours(place, 400):
            other = space.decode(near)
            changed = [k for k in "abcd" if other[k] != configuration[k]]
            assert len(changed) == 1 or (not changed and other != configuration)


def test_columns_allow_what_the_space_does():
    space = Space(
        layers=Int(1, 4),
        units=Int(8, 512, scale="log"),
        optimizer=Choice("sgd", "adam"),
        momentum=Float(0, 1).when(optimizer="sgd"),
        width=Constant(64).when(layers=(3, 4)),
        unnamed=Float(0, 1),
        constraints=[
            "units * layers <= 512",
            "momentum < 0.5 or units > 100",
            "units >= width",
            "optimizer in ('sgd', 'adam')",
        ],
    )
    columns = columns_of(space)
    points = columns.rounded(np.random.default_rng(1).random((400, 5)))
    said = [space.satisfies(space.decode(place)) for place in points]
    assert columns.allowed(points).tolist() == said
    assert 40 < sum(said) < 360
