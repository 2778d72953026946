"""What rules read off a curve: its end, its lowest point, its jumps from epoch to epoch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def smoothed(values: Array) -> Array:
    """Return the running median of three: one lucky or unlucky epoch does not count. Shape (n,).

    The ends are the medians of what there is, twice the end and its neighbour, so the end itself.
    """
    if len(values) < 3:
        return values
    padded = np.concatenate([values[:1], values, values[-1:]])
    one, two, three = padded[:-2], padded[1:-1], padded[2:]
    # What numpy.median gives, NaN where one of the three is; that takes 20 times as long.
    return np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three))


def lowest_at(values: Array) -> int:
    """Return the index of the lowest value that is not alone: the lowest near that of ``smoothed``."""
    at = int(np.argmin(smoothed(values)))
    first = max(at - 1, 0)
    return first + int(np.argmin(values[first : at + 2]))


def end(values: Array, share: float = 0.1) -> float:
    """Return the mean of the last *share* of the values, two at least; NaN of none."""
    return (
        float(np.mean(values[-max(2, round(len(values) * share)) :])) if len(values) else math.nan
    )


def late(values: Array, share: float = 0.5) -> Array:
    """Return the last *share* of the values."""
    return values[len(values) - math.ceil(len(values) * share) :]


def jitter(values: Array) -> float:
    """Return the noise of a curve from epoch to epoch, as a standard deviation; 0 of less than three.

    Each value is compared with the mean of its two neighbours, which takes a straight trend out. For
    independent noise of deviation σ the difference has deviation √1.5 σ.
    """
    if len(values) < 3:
        return 0.0
    apart = values[1:-1] - (values[:-2] + values[2:]) / 2
    return float(np.sqrt(np.mean(apart**2) / 1.5))


def slope(values: Array) -> float:
    """Return the change from the first to the last value of the least-squares line; 0 of one value."""
    if len(values) < 2:
        return 0.0
    at = np.arange(len(values)) - (len(values) - 1) / 2
    return float(at @ values / (at @ at) * (len(values) - 1))


def finite(values: Array | None) -> Array:
    """Return the finite values of a curve; of none, an empty one."""
    return np.empty(0) if values is None else values[np.isfinite(values)]
