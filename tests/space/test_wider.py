"""How far a range with steps grows."""

from __future__ import annotations

import pytest

from luthier.space import Float, Int
from luthier.space.wider import hard_limits, wider


@pytest.mark.parametrize(
    ("domain", "low", "high"),
    [
        (Float(0.3, 0.9, step=0.1), 0.0, 1.0),  # 0.3 - 3 * 0.1 is -5.6e-17
        (Float(0.7, 2.1, step=0.7), 0.0, 2.8),
        (Float(-0.3, 0.3, step=0.1), -0.6, 0.6),
        (Int(6, 12, step=3), 3, 15),
    ],
)
def test_steps_go_on_as_written(domain, low, high):
    hard = hard_limits("x", domain)
    assert (wider(domain, "low", hard), wider(domain, "high", hard)) == (low, high)
