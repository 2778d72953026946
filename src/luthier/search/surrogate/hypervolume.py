"""How much of the space of outcomes a trial promises to add to what the front dominates.

Expected hypervolume improvement, exactly and for any number of objectives: the region that the front
leaves is cut into disjoint boxes, and over each of them the expectation is a product of one-dimensional
ones (Couckuyt, Deschrijver & Dhaene 2014, section 3; Yang et al. 2019). In logarithms, as for a single
objective (Ament et al. 2023, section 3.4), so that a gradient finds something far from the front.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.search.surrogate.acquisition import Surrogate, log_h

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_MOST = {
    1: 1,
    2: 64,
    3: 20,
}  # points of a front, by the number of objectives: boxes grow as a power of it
_MOST_OF_MORE = 10


@dataclass(frozen=True)
class Boxes:
    """What a front leaves: *lower* and *upper* corners (b, k) of disjoint boxes, -inf included."""

    lower: Array
    upper: Array

    def log_expected(self, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
        """Return the logarithm of the expected improvement, and its derivatives.

        Args:
            mean: (m, k) of normal outcomes, independent of each other.
            variance: theirs.

        Returns:
            The value (m,), its derivatives by mean and by variance, each (m, k).
        """
        import numpy as np
        from scipy.special import logsumexp

        wide = np.sqrt(variance)[:, None, :]
        logs, by_mean, by_deviation = _log_between(mean[:, None, :], wide, self.lower, self.upper)
        each = logs.sum(axis=2)
        total = np.maximum(np.asarray(logsumexp(each, axis=1)), -1e100)
        share = np.exp(each - total[:, None])[:, :, None]
        return (
            total,
            (share * by_mean).sum(axis=1),
            (share * by_deviation / (2.0 * wide)).sum(axis=1),
        )


@dataclass(frozen=True)
class VolumeImprovement:
    """The logarithm of the expected improvement of what *boxes* leave, by a surrogate an objective."""

    objectives: tuple[Surrogate, ...]
    boxes: Boxes

    def value(self, features: Array) -> Array:
        """Return the logarithm of the expected improvement at *features* (m, q)."""
        import numpy as np

        means, variances = zip(*(each.predict(features) for each in self.objectives), strict=True)
        return self.boxes.log_expected(np.stack(means, axis=1), np.stack(variances, axis=1))[0]

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return the same and its gradient (m, q)."""
        import numpy as np

        all_ = [each.gradients(features) for each in self.objectives]
        mean, variance, mean_slope, variance_slope = (
            np.stack(parts, axis=1) for parts in zip(*all_, strict=True)
        )
        found, by_mean, by_variance = self.boxes.log_expected(mean, variance)
        slope = by_mean[:, :, None] * mean_slope + by_variance[:, :, None] * variance_slope
        return found, slope.sum(axis=1)


def _log_between(
    mean: Array, deviation: Array, lower: Array, upper: Array
) -> tuple[Array, Array, Array]:
    """Return log E[max(0, upper - max(lower, y))] of normal y, and derivatives by mean and deviation."""
    import numpy as np
    from scipy.special import log_ndtr

    far = -1e4  # as in acquisition.py
    above = np.maximum((upper - mean) / deviation, far)
    below = np.maximum((lower - mean) / deviation, far)
    log_above = log_h(above)
    bounded = np.isfinite(lower)
    log_below = np.where(bounded, log_h(below), -math.inf)
    ratio = np.minimum(log_below - log_above, -1e-15)
    log_gain = log_above + np.log(-np.expm1(ratio))  # of the standard normal, in deviations

    def share(log_density: Array) -> Array:
        return np.exp(np.minimum(log_density - log_gain, 700.0))

    half = 0.5 * math.log(2 * math.pi)
    cut = np.where(bounded, share(log_ndtr(below)), 0.0)
    by_mean = -(share(log_ndtr(above)) - cut) / deviation
    cut = np.where(bounded, share(-0.5 * below**2 - half), 0.0)
    by_deviation = (share(-0.5 * above**2 - half) - cut) / deviation
    return log_gain + np.log(deviation), by_mean, by_deviation


def boxes(front: Array, reference: Array) -> Boxes:
    """Return what lies below *reference* (k,) and is dominated by no point of *front* (f, k)."""
    import numpy as np

    inside = front[(front < reference).all(axis=1)]
    pairs = list(_cut(thinned(inside[best_of(inside)]), reference))
    corners = np.array(pairs).reshape(-1, 2, len(reference))
    return Boxes(corners[:, 0], corners[:, 1])


def _cut(front: Array, reference: Array) -> list[tuple[list[float], list[float]]]:
    """Return the boxes as pairs of corners: slabs of the last objective, cut in the others."""
    import numpy as np

    if len(reference) == 1:
        return [([-math.inf], [float(min([*front[:, 0], reference[0]]))])]
    found: list[tuple[list[float], list[float]]] = []
    order = front[np.argsort(front[:, -1], kind="stable")]
    levels = [-math.inf, *map(float, order[:, -1]), float(reference[-1])]
    for index, (low, high) in enumerate(itertools.pairwise(levels)):
        if low >= high:
            continue
        seen = order[:index, :-1]
        for lower, upper in _cut(seen[best_of(seen)], reference[:-1]):
            found.append(([*lower, low], [*upper, high]))
    return found


def best_of(outcomes: Array) -> Flags:
    """Return which of *outcomes* (n, k), to be minimised, no other one dominates; one of equal ones."""
    import numpy as np

    kept = np.ones(len(outcomes), dtype=bool)
    for index in np.lexsort(outcomes.T[::-1]):
        if kept[index]:
            worse: Flags = np.all(outcomes >= outcomes[index], axis=1)
            worse[index] = False
            kept &= ~worse
    return kept


def thinned(front: Array) -> Array:
    """Return as many points as can be cut round in useful time, the best of each objective among them."""
    import numpy as np

    most = _MOST.get(front.shape[1], _MOST_OF_MORE)
    if len(front) <= most:
        return front
    span = np.ptp(front, axis=0)
    scaled = front / np.where(span > 0, span, 1.0)
    chosen = list(dict.fromkeys(map(int, scaled.argmin(axis=0))))
    away = np.full(len(front), math.inf)
    for index in chosen:
        away = np.minimum(away, ((scaled - scaled[index]) ** 2).sum(axis=1))
    while len(chosen) < most:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    return front[sorted(chosen)]


def reference_point(front: Array, outcomes: Array) -> Array:
    """Return the outcome that is just not good enough any more, shape (k,).

    A tenth of the front's extent beyond its worst (Ishibuchi et al. 2018); of all outcomes' extent
    where the front has none.
    """
    import numpy as np

    worst, extent = front.max(axis=0), np.ptp(front, axis=0)
    return worst + 0.1 * np.where(extent > 0, extent, np.maximum(np.ptp(outcomes, axis=0), 1e-6))


def hypervolume(outcomes: Array, reference: Array) -> float:
    """Return the volume that *outcomes* (n, k) dominate below *reference* (k,)."""
    import numpy as np

    inside = outcomes[(outcomes < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    front = inside[best_of(inside)]
    if len(reference) == 1:
        return float(reference[0] - front.min())
    order = front[np.argsort(front[:, -1], kind="stable")]
    levels = [*map(float, order[:, -1]), float(reference[-1])]
    return sum(
        (high - low) * hypervolume(order[: index + 1, :-1], reference[:-1])
        for index, (low, high) in enumerate(itertools.pairwise(levels))
        if high > low
    )
