"""Scales: the variable in which a hyperparameter's range is even.

``linear``: x itself. ``log``: log x, for rates and sizes that span decades. ``one_minus_log``:
r = log₁₀(1 − x), for momenta and their kin, where 0.9, 0.99 and 0.999 average over 10, 100 and 1,000
steps: over 0.9 … 0.999 half of the range lies above 0.99.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from luthier.errors import SpaceError, nearest

Scale = Literal["linear", "log", "one_minus_log"]
SCALES: tuple[str, ...] = get_args(Scale)


def check_scale(scale: object, what: str) -> Scale:
    """Return *scale* if it is one.

    Raises:
        SpaceError: naming the scales there are.
    """
    if scale not in SCALES:
        raise SpaceError(
            f"{what}: unknown scale {scale!r}; expected {', '.join(map(repr, SCALES))}."
            f"{nearest(str(scale), SCALES)}"
        )
    return scale  # type: ignore[return-value]


def forward(scale: Scale, x: float) -> float:
    """Return *x* on its scale's own variable, which grows with x."""
    if scale == "log":
        return math.log(x)
    if scale == "one_minus_log":
        return -math.log1p(-x)
    return x


def inverse(scale: Scale, z: float) -> float:
    """Return the x whose ``forward`` is *z*."""
    if scale == "log":
        return math.exp(z)
    if scale == "one_minus_log":
        return -math.expm1(-z)
    return z


def to_unit(scale: Scale, low: float, high: float, x: float) -> float:
    """Return where *x* lies between *low* (0) and *high* (1) on its scale."""
    if x <= low:
        return 0.0
    if x >= high:
        return 1.0
    a, b = forward(scale, low), forward(scale, high)
    if not math.isfinite(b - a):  # a linear range wider than a float holds
        return (x / 2 - low / 2) / (high / 2 - low / 2)
    return min(1.0, max(0.0, (forward(scale, x) - a) / (b - a)))


def from_unit(scale: Scale, low: float, high: float, unit: float) -> float:
    """Return the x at *unit* between *low* and *high*, never outside them."""
    if unit <= 0.0:
        return low
    if unit >= 1.0:
        return high
    a, b = forward(scale, low), forward(scale, high)
    return min(high, max(low, inverse(scale, a * (1.0 - unit) + b * unit)))
