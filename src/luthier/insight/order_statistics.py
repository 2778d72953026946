"""The best of so many trials, by exact formulas over the order of the losses.

Dodge, Gururangan, Card, Schwartz & Smith 2019, "Show your work", take the best of n draws *with*
replacement; that is too good for n near the number of trials (Tang, Lee, Xin, Liu, Yu & Lin 2020).
Without replacement, the best of n of N trials is no better than the i-th best one with probability
C(N − i, n) / C(N, n), and its mean is unbiased. All orders of the trials must be equally likely.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def beaten(total: int, better: float, drawn: float) -> float:
    """Return the chance that *drawn* of *total* trials hold none of a certain *better* ones.

    C(total − better, drawn) / C(total, drawn); fractions are allowed, between whole numbers.
    """
    left, rest = total - better, total - drawn
    if left - drawn <= -1:
        return 0.0
    return math.exp(
        math.lgamma(left + 1) + math.lgamma(rest + 1)
        - math.lgamma(left - drawn + 1) - math.lgamma(total + 1)
    )  # fmt: skip


def chances(total: int, drawn: int) -> Array:
    """Return the chance of each rank, the best first, to be the best of *drawn* trials; (total,)."""
    import numpy as np

    worse = np.array([beaten(total, i, drawn) for i in range(total + 1)])
    return worse[:-1] - worse[1:]


def resampled_chances(total: int, drawn: int) -> Array:
    """Return the same for draws with replacement: the exact bootstrap; (total,)."""
    import numpy as np

    worse = (1 - np.arange(total + 1) / total) ** drawn
    return worse[:-1] - worse[1:]


def all_of_one(size: int, other: int, first: int) -> float:
    """Return the chance of so clear a difference if which of two groups a trial is in said nothing.

    Twice C(size, first) / C(size + other, first), at most 1: the *first* best trials of both all belong to
    the group of *size*; twice, since it could have been either.
    """
    return min(1.0, 2.0 * math.comb(size, first) / math.comb(size + other, first))


def quantile(losses: Sequence[float] | Array, weights: Array, share: float) -> float:
    """Return the smallest of the ascending *losses* below or at which a *share* of the weight lies."""
    import numpy as np

    below = np.cumsum(weights)
    at = int(np.searchsorted(below, share * below[-1] * (1 - 1e-12)))
    return float(losses[min(at, len(losses) - 1)])
