"""How many side by side: followed through by hand."""

from __future__ import annotations

import pytest

from luthier.train.fused.widths import best_width, next_width


def test_nothing_is_wider_before_time_was_spent():
    assert next_width({}, 0, 5, 512) == 1
    assert next_width({1: 0.03}, 14.9, 5, 512) == 1
    assert next_width({1: 0.03}, 15.1, 5, 512) == 4


def test_it_widens_as_long_as_it_pays_and_stays_with_the_best():
    seconds = {1: 1.0, 4: 0.5}
    assert next_width(seconds, 100, 5, 512) == 8
    seconds[8] = 0.3
    assert next_width(seconds, 100, 5, 512) == 16
    seconds[16] = 0.29  # not worth twice the memory
    assert best_width(seconds) == 8
    assert next_width(seconds, 100, 5, 512) == 8


def test_memory_bounds_it():
    assert next_width({1: 1.0, 4: 0.5, 8: 0.3}, 100, 5, 8) == 8
    assert next_width({1: 1.0, 4: 0.5, 8: 0.3}, 100, 5, 3) == 3


@pytest.mark.parametrize("slower", [0.95, 2.0])
def test_where_side_by_side_is_no_faster_trials_run_alone(slower):
    assert next_width({1: 1.0, 4: slower}, 1e6, 5, 512) == 1
