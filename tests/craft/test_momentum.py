"""Momentum: ranges, what beta does to the learning rate, and the picture's data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import luthier
from luthier.craft import momentum
from luthier.craft.optimizers import OPTIMIZERS
from luthier.errors import SpaceError
from luthier.space import Float, Space, lint

# What the papers and the frameworks take when nobody says otherwise.
DEFAULTS = {
    "sgd": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "rmsprop": {"rho": 0.9, "epsilon": 1e-7},
    "adam": {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
}


def test_it_is_reached_from_the_package():
    assert luthier.craft.momentum is momentum
    with pytest.raises(AttributeError, match="momentun"):
        _ = luthier.craft.momentun


@pytest.mark.parametrize("optimizer", DEFAULTS)
def test_defaults_are_the_customary_values(optimizer):
    space = Space(momentum.domains(optimizer))
    assert space.default() == DEFAULTS[optimizer]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_scales_are_those_of_the_field(optimizer):
    domains = momentum.domains(optimizer)
    assert lint(Space(domains)) == []
    for name, domain in domains.items():
        assert domain.scale == ("log" if name == "epsilon" else "one_minus_log")


def test_half_of_the_momenta_average_over_more_than_100_steps():
    beta = momentum.domains("sgd")["momentum"]
    assert isinstance(beta, Float)
    assert momentum.averaged_steps(beta.decode(0.5)) == pytest.approx(100)


@pytest.mark.parametrize(
    ("trials", "names"),
    [
        (9, []),
        (10, ["beta_1"]),
        (25, ["beta_1", "epsilon"]),
        (50, ["beta_1", "beta_2", "epsilon"]),
        (None, ["beta_1", "beta_2", "epsilon"]),
    ],
)
def test_few_trials_search_less_of_adam(trials, names):
    space = Space(momentum.domains("adamw", trials))
    assert sorted(space.searched) == names
    assert space.default() == DEFAULTS["adam"]  # the others are there, as constants


def test_unknown_optimizers_are_named():
    with pytest.raises(SpaceError, match="Did you mean 'nesterov'"):
        momentum.domains("nestrov")


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_one_gradient_moves_the_weights_by_the_effective_rate(beta):
    velocity, weight, rate = 0.0, 0.0, 0.1
    for step in range(500):
        velocity = beta * velocity + (1.0 if step == 0 else 0.0)
        weight -= rate * velocity
    assert -weight == pytest.approx(momentum.effective_learning_rate(rate, beta))


@given(st.floats(1e-6, 10), st.floats(0, 0.999), st.floats(0, 0.999))
def test_rescaling_keeps_the_effective_rate(rate, before, after):
    new = momentum.rescaled(rate, before, after)
    kept = momentum.effective_learning_rate(rate, before)
    assert momentum.effective_learning_rate(new, after) == pytest.approx(kept)
    assert momentum.rescaled(new, after, before) == pytest.approx(rate)


def test_from_09_to_099_is_a_tenth():
    assert momentum.rescaled(0.1, 0.9, 0.99) == pytest.approx(0.01)


def test_rates_that_cannot_be():
    with pytest.raises(SpaceError, match="learning_rate=0"):
        momentum.effective_learning_rate(0, 0.9)
    with pytest.raises(SpaceError, match="to_momentum=1"):
        momentum.rescaled(0.1, 0.9, 1)


def test_the_picture_shows_what_it_says():
    values = np.linspace(5.0, 9.0, 80)
    figure = momentum.picture(values=values)
    whole, start = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in whole.get_lines()}
    assert list(lines) == [
        "values",
        "β = 0.9, about 10 steps, uncorrected",
        "β = 0.9, about 10 steps, bias corrected",
        "β = 0.98, about 50 steps, uncorrected",
        "β = 0.98, about 50 steps, bias corrected",
    ]
    series, low_9, right_9, low_98, right_98 = lines.values()
    assert series == pytest.approx(values)
    assert low_9[0] == pytest.approx(0.5)
    assert low_98[0] == pytest.approx(0.1)
    assert right_9[0] == right_98[0] == pytest.approx(5.0)
    # 0.98 lags further behind a rising series; the correction no longer matters where 0.9^t is gone.
    assert series[-1] > right_9[-1] > right_98[-1]
    assert low_9[-1] == pytest.approx(right_9[-1], rel=1e-3)
    assert start.get_xlim() == (0, 51)
    assert len(figure.legends[0].get_texts()) == 5


def test_the_made_up_series_is_the_same_each_time():
    series = momentum.noisy_series()
    assert series == pytest.approx(momentum.noisy_series())
    assert series.shape == (365,)
    assert series[150:215].mean() > series[:30].mean() + 10
