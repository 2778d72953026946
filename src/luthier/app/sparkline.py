"""A curve in a few characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """Return *values* as bars, at most *width* of them; what is not finite is a cross.

    Longer curves are thinned: each bar is the last value of its stretch, so the end is the true end.
    """
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return "×" * len(values)
    low, high = min(finite), max(finite)
    return "".join(_bar(v, low, high) for v in values)


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "×"
    if high == low:
        return _BARS[3]
    scale = max(abs(low), abs(high))  # the range itself may exceed a float's, or vanish when halved
    share = (value / scale - low / scale) / (high / scale - low / scale)
    return _BARS[min(len(_BARS) - 1, max(0, int(share * len(_BARS))))]
