"""Compound scaling: equation 3, and whole numbers that stay close to it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft.scaling import DENSE, EFFICIENTNET, Bases, Stage, compound, cost, scaled, times
from luthier.errors import SpaceError


def test_the_papers_bases():
    assert EFFICIENTNET.cost == pytest.approx(1.2 * 1.21 * 1.3225)  # 1.92, "about 2"
    assert pytest.approx(2) == DENSE.cost
    assert DENSE.resolution == 1


def test_by_hand():
    found = compound(2)
    assert found.depth == pytest.approx(1.44)
    assert found.width == pytest.approx(1.21)
    assert found.resolution == pytest.approx(1.3225)
    assert found.cost == pytest.approx(EFFICIENTNET.cost**2)
    assert compound(0) == times(1)


@given(st.floats(1, 1000), st.floats(1, 2), st.floats(1.01, 2), st.floats(1, 2))
def test_k_times_as_costly(k, depth, width, resolution):
    found = times(k, Bases(depth, width, resolution))
    assert found.cost == pytest.approx(k)
    assert found.depth * found.width**2 * found.resolution**2 == pytest.approx(k)


def test_whole_numbers_by_hand():
    baseline = [Stage(2, 64), Stage(3, 128)]
    stages, resolution = scaled(baseline, 224, compound(1))
    assert stages == [Stage(3, 72), Stage(4, 144)]  # 70.4 and 140.8: to the nearest multiple of 8
    assert resolution == 256  # 257.6
    assert scaled(baseline, 224, times(1)) == (baseline, 224)


def test_dense_nets_have_no_resolution():
    stages, resolution = scaled([Stage(3, 128)], 1, times(4, DENSE))
    assert resolution == 1
    assert stages == [Stage(5, 216)]  # 3 * 1.44 and 128 * 1.667 = 213.3
    assert cost(stages) / cost([Stage(3, 128)]) == pytest.approx(4.746, abs=1e-3)


@given(
    st.lists(st.builds(Stage, st.integers(1, 20), st.integers(8, 2000)), min_size=1, max_size=4),
    st.integers(8, 600),
    st.floats(1, 64),
    st.sampled_from([1, 8]),
)
def test_rounding_stays_close(baseline, resolution, k, multiple):
    scales = times(k)
    stages, pixels = scaled(baseline, resolution, scales, multiple=multiple)
    for before, now in zip(baseline, stages, strict=True):
        assert 0 <= now.blocks - before.blocks * scales.depth + 1e-6 < 1 + 1e-6
        assert now.width >= 0.9 * before.width * scales.width
        assert now.width <= before.width * scales.width + multiple
        assert now.width % multiple == 0 or scales.width == 1
    assert pixels >= 0.9 * resolution * scales.resolution


def test_the_cost_of_what_was_rounded():
    assert cost([Stage(2, 10), Stage(1, 20)], 3) == (2 * 100 + 400) * 9
    baseline = [Stage(4, 256), Stage(8, 512)]
    stages, pixels = scaled(baseline, 224, times(8))
    assert 8 * 0.8 < cost(stages, pixels) / cost(baseline, 224) < 8 * 1.4


def test_what_cannot_be():
    with pytest.raises(SpaceError, match="α, β, γ"):
        Bases(depth=0.9)
    with pytest.raises(SpaceError, match="one of them above"):
        Bases(1, 1, 1)
    with pytest.raises(SpaceError, match="phi=-1"):
        compound(-1)
    with pytest.raises(SpaceError, match=r"k=0\.5"):
        times(0.5)
    with pytest.raises(SpaceError, match="k=inf"):
        times(math.inf)
    with pytest.raises(SpaceError, match="one stage or more"):
        scaled([], 1, times(2))
