"""Exponentially weighted averages: golden numbers, exact statements on memory, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft.averaging import (
    averaged_steps,
    averages,
    beta_of,
    noise_left,
    weight_left,
)
from luthier.errors import SpaceError

BETAS = st.floats(0.01, 0.9999)
SERIES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def test_the_course_by_hand():
    # Andrew Ng's London temperatures: 40, 49, 45 °F with beta 0.9.
    values = [40, 49, 45]
    assert averages(values, 0.9) == pytest.approx([4.0, 8.5, 12.15])
    corrected = averages(values, 0.9, bias_correction=True)
    assert corrected == pytest.approx([40.0, 8.5 / 0.19, 12.15 / 0.271])


def test_the_first_corrected_averages_at_098():
    # "Bias correction": v_1 = 0.02 x_1, v_2 = 0.0196 x_1 + 0.02 x_2, divided by 0.02 and 0.0396.
    values = [40.0, 49.0]
    assert averages(values, 0.98) == pytest.approx([0.8, 0.0196 * 40 + 0.02 * 49])
    assert averages(values, 0.98, bias_correction=True)[1] == pytest.approx(1.764 / 0.0396)


@given(SERIES, BETAS)
def test_it_is_the_weighted_sum_that_it_says(values, beta):
    last = averages(values, beta)[-1]
    weights = (1 - beta) * beta ** np.arange(len(values))[::-1]
    assert last == pytest.approx(np.dot(weights, values), rel=1e-9, abs=1e-6)


@given(SERIES, BETAS)
def test_corrected_averages_are_means(values, beta):
    """Their weights sum to one: they stay between the values seen, and a constant stays itself."""
    corrected = averages(values, beta, bias_correction=True)
    seen_low, seen_high = np.minimum.accumulate(values), np.maximum.accumulate(values)
    slack = 1e-6 * (1 + np.abs(values).max())
    assert (corrected >= seen_low - slack).all()
    assert (corrected <= seen_high + slack).all()
    constant = averages([values[0]] * 20, beta, bias_correction=True)
    assert constant == pytest.approx([values[0]] * 20, rel=1e-6, abs=1e-9)


def test_each_column_on_its_own_and_no_memory_at_zero():
    values = np.arange(12.0).reshape(4, 3)
    both = averages(values, 0.9, bias_correction=True)
    assert both[:, 1] == pytest.approx(averages(values[:, 1], 0.9, bias_correction=True))
    assert averages(values, 0.0, bias_correction=True) == pytest.approx(values)


@pytest.mark.parametrize(
    ("beta", "steps", "left"),
    [(0.9, 10, 0.348678), (0.98, 50, 0.364170), (0.99, 100, 0.366032), (0.999, 1000, 0.367695)],
)
def test_what_is_left_after_so_many_steps(beta, steps, left):
    assert averaged_steps(beta) == pytest.approx(steps)
    assert weight_left(beta, steps) == pytest.approx(left, abs=5e-7)


@given(BETAS, BETAS)
def test_a_little_less_than_one_over_e_and_closer_for_longer_memories(one, other):
    short, long = sorted((one, other))
    at = [weight_left(beta, averaged_steps(beta)) for beta in (short, long)]
    assert at[0] <= at[1] + 1e-12
    assert at[1] < 1 / math.e


@given(BETAS)
def test_steps_and_beta_are_inverse(beta):
    assert beta_of(averaged_steps(beta)) == pytest.approx(beta, rel=1e-9)


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.98])
def test_noise_shrinks_as_said(beta):
    noise = np.random.default_rng(0).normal(size=200_000)
    assert averages(noise, beta)[1000:].std() == pytest.approx(noise_left(beta), rel=0.03)


@pytest.mark.parametrize("beta", [1, 1.5, -0.1, math.nan])
def test_a_beta_that_cannot_be(beta):
    for function in (averaged_steps, noise_left, lambda b: weight_left(b, 1)):
        with pytest.raises(SpaceError, match="less than 1"):
            function(beta)
    with pytest.raises(SpaceError, match="beta"):
        averages([1.0], beta)
    with pytest.raises(SpaceError, match="1 step"):
        beta_of(0.5)
