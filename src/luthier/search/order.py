"""One order of trials, the best first, for searchers that know of ranks alone.

Several objectives: by non-dominated fronts, within a front the lonely ones first (Deb et al. 2002,
NSGA-II, section III). Constraints on outcomes: whoever keeps them comes before whoever does not, these
by how much they break them (the same, section VI).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from luthier.search.surrogate.hypervolume import best_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MANY = 200  # trials that are put in fronts; the others by their mean rank in each objective


def ordered(outcomes: Array, excesses: Array) -> Array:
    """Return losses (n,) whose order is that of the trials; the first objective where it is all.

    Args:
        outcomes: (n, k) the objectives, to be minimised.
        excesses: (n, c) how far each constraint is broken; 0 or less where it is kept.
    """
    import numpy as np

    count, objectives = outcomes.shape
    losses = outcomes[:, 0].copy() if objectives == 1 else _by_fronts(outcomes)
    if not excesses.shape[1] or not count:
        return losses
    violation = broken(excesses)
    bad = violation > 0
    if bad.all() or not bad.any():
        return violation if bad.all() else losses
    span = float(np.ptp(losses[~bad])) or 1.0
    losses[bad] = losses[~bad].max() + span * violation[bad] / (1.0 + violation[bad])
    return losses


def broken(excesses: Array) -> Array:
    """Return how much each trial breaks its constraints in all, shape (n,); each on its own scale.

    What was never measured counts as broken as far as any.
    """
    import numpy as np

    known = np.where(np.isfinite(excesses), excesses, np.nan)
    total = np.zeros(len(excesses))
    for column in known.T:
        finite = column[~np.isnan(column)]
        worst = max(float(finite.max(initial=0.0)), 1e-12)
        scale = float(np.abs(finite).mean()) if len(finite) else 1.0
        total += np.maximum(np.where(np.isnan(column), worst, column), 0.0) / (scale or 1.0)
    return total


def _by_fronts(outcomes: Array) -> Array:
    """Return the number of each trial's front, and below 1 how crowded it is there."""
    import numpy as np

    count = len(outcomes)
    found = np.full(count, math.inf)
    left = np.arange(count)
    front, done = 0, 0
    while len(left) and done < _MANY:
        best = best_of(outcomes[left])
        chosen = left[best]
        lonely = np.argsort(np.argsort(-loneliness(outcomes[chosen]), kind="stable"))
        found[chosen] = front + lonely / len(chosen)
        left, front, done = left[~best], front + 1, done + len(chosen)
    if len(left):
        ranks = np.argsort(np.argsort(outcomes[left], axis=0, kind="stable"), axis=0)
        found[left] = front + ranks.mean(axis=1) / len(left)
    return found


def loneliness(front: Array) -> Array:
    """Return the crowding distance of each point of a *front* (f, k), infinite at its ends."""
    import numpy as np

    total = np.zeros(len(front))
    for column in front.T:
        order = np.argsort(column, kind="stable")
        span = float(np.ptp(column)) or 1.0
        total[order[[0, -1]]] = math.inf
        total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return total
