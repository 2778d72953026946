"""Scales: each its own variable, even over the range."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.errors import SpaceError
from luthier.space import Float
from luthier.space.scales import SCALES, check_scale, forward, from_unit, inverse, to_unit

RANGES = {"linear": (-3.0, 7.0), "log": (1e-6, 1e3), "one_minus_log": (-4.0, 0.9999)}
UNIT = st.floats(0, 1)


@pytest.mark.parametrize("scale", SCALES)
@given(unit=UNIT)
def test_to_unit_undoes_from_unit(scale, unit):
    low, high = RANGES[scale]
    x = from_unit(scale, low, high, unit)
    assert low <= x <= high
    assert to_unit(scale, low, high, x) == pytest.approx(unit, abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@given(unit=UNIT, other=UNIT)
def test_scales_grow_with_the_value(scale, unit, other):
    low, high = RANGES[scale]
    a, b = (from_unit(scale, low, high, u) for u in sorted((unit, other)))
    assert a <= b
    assert forward(scale, a) <= forward(scale, b)
    assert inverse(scale, forward(scale, a)) == pytest.approx(a, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_ends_are_exact(scale):
    low, high = RANGES[scale]
    assert (from_unit(scale, low, high, 0.0), from_unit(scale, low, high, 1.0)) == (low, high)
    assert (to_unit(scale, low, high, low), to_unit(scale, low, high, high)) == (0.0, 1.0)


def test_one_minus_log_spends_half_of_the_range_on_each_decade():
    momentum = Float(0.9, 0.999, scale="one_minus_log")
    draws = [momentum.quantile((i + 0.5) / 1000) for i in range(1000)]
    assert sum(x > 0.99 for x in draws) == 500
    assert momentum.decode(0.5) == pytest.approx(0.99)


def test_log_has_half_of_the_range_below_the_geometric_mean():
    rate = Float(1e-4, 1e-1, scale="log")
    draws = [rate.quantile((i + 0.5) / 1000) for i in range(1000)]
    assert sum(x < math.sqrt(1e-5) for x in draws) == 500


def test_a_linear_range_wider_than_a_float_still_works():
    wide = Float(-1.7e308, 1.7e308)
    assert wide.decode(0.5) == 0.0
    assert wide.encode(0.0) == 0.5
    assert wide.encode(1.7e308 / 2) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("Log", "log"), ("one_minus_lg", "one_minus_log"), ("lin", "linear")]
)
def test_unknown_scale_names_the_nearest(wrong, meant):
    with pytest.raises(SpaceError, match=f"unknown scale '{wrong}'.*Did you mean '{meant}'"):
        check_scale(wrong, "x")
    with pytest.raises(SpaceError, match="unknown scale"):
        Float(1, 2, scale=wrong)


@given(st.one_of(st.none(), st.integers(), st.lists(st.text()), st.booleans(), st.floats()))
def test_no_scale_raises_anything_else(scale):
    with pytest.raises(SpaceError, match="unknown scale"):
        Float(1, 2, scale=scale)
