"""How far a range may grow, and by how much it grows at once."""

from __future__ import annotations

import math
import re
from typing import Any, Literal, cast

from luthier.space import Domain, Float, Int
from luthier.space.plain import decimals
from luthier.space.scales import forward, inverse

Limits = tuple[float, float]
_DECADE = math.log(10)
# What a hyperparameter's name says about the values that make sense, both ends included.
_NAMED: tuple[tuple[str, Limits], ...] = (
    (r"dropout|drop_?path|stochastic_depth", (0.0, 0.95)),
    (r"smoothing", (0.0, 0.9)),
    (r"momentum|beta|rho|ema|decay_rate", (0.0, 1 - 1e-6)),
    (r"prob|fraction|share|ratio|split|warm_?up|mix_?up|cut_?mix|gamma", (0.0, 1.0)),
)


def hard_limits(name: str, domain: Domain) -> Limits:
    """Return the ends that the range of a hyperparameter must not pass.

    They follow from its name (a dropout rate stays below 1, a momentum too), from its scale (above 0 on
    a log scale, below 1 on ``one_minus_log``), and from the range as it was written: one that begins at
    0 or, for whole numbers, at 1 keeps that end, and one within [0, 1] on a linear scale stays there.
    """
    given = cast(Any, domain)
    low, high = -math.inf, math.inf
    short = name.rpartition(".")[2].lower()
    for pattern, limits in _NAMED:
        if re.search(rf"(^|_)({pattern})", short) and given.high <= 1 and isinstance(domain, Float):
            low, high = limits
            break
    if isinstance(domain, Int):
        low = 1 if given.low >= 1 else given.low
    elif given.scale == "one_minus_log":
        low, high = max(low, 0.0), min(high, 1 - 1e-6)
    elif given.scale == "log":
        low = max(low, 0.0)
    elif given.low >= 0:
        low = max(low, 0.0)
        high = min(high, 1.0) if given.high <= 1 else high
    return min(low, given.low), max(high, given.high)


def wider(domain: Domain, side: Literal["low", "high"], hard: Limits) -> float | int | None:
    """Return where an end of a range moves, no further than *hard*; None when it cannot move.

    It moves out by half the range's width on its own scale, on a log scale by a decade at most.

    Whole numbers and steps stay so, and powers of two where both ends of a log range are ones.
    """
    given = cast(Any, domain)
    out = -1 if side == "low" else 1
    edge = given.low if side == "low" else given.high
    if edge == hard[0 if side == "low" else 1]:
        return None
    a, b = forward(given.scale, given.low), forward(given.scale, given.high)
    move = (b - a) / 2
    if given.scale != "linear":
        move = min(move, _DECADE)
    to = inverse(given.scale, (a if side == "low" else b) + out * move)
    to = min(max(to, hard[0]), hard[1])
    if given.step is not None:
        # Without the noise of binary fractions: 0.3 - 3 * 0.1 is 0, and within the limits.
        digits = max(decimals(float(edge)), decimals(float(given.step)))
        for steps in range(max(1, round(abs(to - edge) / given.step)), 0, -1):
            there = round(edge + out * steps * given.step, digits)
            if hard[0] <= there <= hard[1]:
                return there
        return None
    if isinstance(domain, Int):
        to = math.floor(to) if side == "low" else math.ceil(to)
        if given.scale == "log":
            to = max(to, 1)
            if _power_of_two(given.low) and _power_of_two(given.high):
                to = max(1, int(edge * 2.0 ** (out * max(1, round(abs(math.log2(to / edge)))))))
        return None if to == edge else int(to)
    near = _round(to, given.scale, hard)
    return near if out * (near - edge) > 0 else to if to != edge else None


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def _round(value: float, scale: str, hard: Limits) -> float:
    """Return *value* with three digits, of 1 − value on ``one_minus_log``, within the limits."""
    near = 1 - float(f"{1 - value:.3g}") if scale == "one_minus_log" else float(f"{value:.3g}")
    return min(max(near, hard[0]), hard[1])
