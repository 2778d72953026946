"""Texts of values and names, as pictures and tables show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_MOST = 17  # significant digits: with so many no two numbers look alike
_ROUNDED = 0.05  # of the way to the nearest neighbour: so much may be rounded away
_NEAR_ONE = 0.9  # from here to 1 what is missing to 1 counts: 0.99999 is not 1


def told_apart(values: Sequence[Any], fewest: int = 4) -> list[str]:
    """Return what is written for each of several values in a row: as many digits as tell neighbours apart.

    Args:
        values: ends of bins, ticks of an axis, ends of a range; numbers or anything.
        fewest: significant digits of a number, more where neighbours need them.
    """
    numbers = sorted({v for v in values if isinstance(v, float)})
    room = {number: _ROUNDED * _nearest(number, numbers) for number in numbers}
    digits = next(
        (d for d in range(fewest, _MOST) if all(_off(n, d) <= room[n] for n in numbers)), _MOST
    )
    return [_written(v, digits) if isinstance(v, float) else str(v) for v in values]


def _nearest(number: float, numbers: Sequence[float]) -> float:
    """Return how far the next of the *numbers* is; no farther than 1 for what is just below it."""
    others = [abs(number - other) for other in numbers if other != number]
    return min([*others, 1 - number if _NEAR_ONE < number < 1 else math.inf])


def _off(number: float, digits: int) -> float:
    return abs(float(_written(number, digits)) - number) if math.isfinite(number) else 0.0


def _written(number: float, digits: int) -> str:
    """Return *number* with so many significant digits; below a million without a power of ten."""
    if math.isfinite(number) and 1 <= abs(number) < 10**6:
        digits = max(digits, len(str(int(abs(number)))))
    return f"{number:.{digits}g}"


def shortened(text: str, most: int = 12) -> str:
    """Return *text*, cut where it is longer than so many characters, for matplotlib to draw."""
    return plain(text if len(text) <= most else f"{text[: most - 1]}…")


def plain(text: str) -> str:
    r"""Return *text* so that matplotlib draws it as it is.

    Two ``$`` would make mathematics of what is between them, which may be none and then cannot be drawn; and
    a legend leaves out what begins with ``_``.
    """
    escaped = text.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
