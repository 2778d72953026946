"""Bayesian optimisation with a Gaussian process: few trials, each well chosen.

The surrogate is described in ``surrogate/gaussian.py``, the acquisition in ``surrogate/acquisition.py``.
Its hyperparameters are learned again whenever the trials have grown by an eighth, from trials alone and
from no earlier fit, so any process proposes the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.search.columns import Columns, columns_of
from luthier.search.novelty import early, first_new, untried
from luthier.search.observations import Observations, observe
from luthier.search.surrogate.acquisition import Acquisition
from luthier.search.surrogate.gaussian import Hyperparameters, Posterior, condition, fit
from luthier.search.surrogate.maximise import Maximiser
from luthier.search.surrogate.skew import evened
from luthier.search.surrogate.threads import one_thread
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MOST = 200  # trials that a surrogate is conditioned on: time per proposal stays flat
_LEARNED_FROM = 150  # trials that its hyperparameters are learned from
_GOOD = 5  # trials that are looked around
_BELIEF = 10.0  # πBO's β: the belief's weight is this over the number of trials


@dataclass(frozen=True)
class GaussianProcess:
    """Proposes where the expected improvement over the best trial is highest.

    Trial 0 is the space's defaults, the next few are quasi-random. Pending trials count as if they had
    brought what the surrogate expects. Trials that diverged or ran out of memory teach a second
    surrogate where training is possible, and do not touch the first.

    Args:
        initial: trials before the surrogate takes over; by default one more than there are
            hyperparameters, from 4 to 12.
    """

    initial: int | None = None

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        seen = observe(history, space)
        if number < self.first(seen) or len(seen.losses) < 2 or seen.dimension == 0:
            return early(seen, history, space, number, chance)
        with one_thread():
            ranked = _ranked(seen, columns_of(space), chance.generator())
        found = first_new(ranked, seen, history, space)
        return found or untried(seen, history, space, number, chance)

    def first(self, seen: Observations) -> int:
        """Return how many trials come before the surrogate takes over."""
        return self.initial or min(12, max(4, seen.dimension + 1))

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None


def _ranked(seen: Observations, columns: Columns, generator: np.random.Generator) -> Array:
    """Return places (m, d), the most promising first."""
    import numpy as np

    values = evened(seen.losses)
    objective = _objective(seen, columns, values)
    chosen = _subset(seen.points, seen.losses, columns, _MOST)
    expected, _ = objective.predict(columns.features(seen.points[chosen]))
    acquisition = Acquisition(objective, float(expected.min()), _feasible(seen, columns))
    weight = _BELIEF / len(values) if columns.believes else 0.0
    where = np.array(columns.options) == 0
    which = np.searchsorted(columns.groups, np.arange(columns.dimension))[where]

    def score(points: Array) -> Array:
        found = acquisition(columns.features(points))
        return found + weight * columns.log_belief(points) if weight else found

    def slopes(points: Array) -> tuple[Array, Array]:
        found, by_feature = acquisition.gradients(columns.features(points))
        slope = np.zeros_like(points)
        slope[:, where] = by_feature[:, which]
        if weight:
            found = found + weight * columns.log_belief(points)
            slope += weight * columns.belief_slope(points)
        return found, slope

    good = seen.points[chosen][np.argsort(expected, kind="stable")[:_GOOD]]
    return Maximiser(columns, score, slopes).ranked(good, generator)


def _objective(seen: Observations, columns: Columns, values: Array) -> Posterior:
    """Return the surrogate of the losses, pending trials included at their expectation."""
    import numpy as np

    groups = columns.groups
    early = _milestone(len(values))
    hyperparameters = _learned(columns, seen.points[:early], evened(seen.losses[:early]))
    chosen = _subset(seen.points, seen.losses, columns, _MOST)
    features = columns.features(seen.points[chosen])
    known = condition(hyperparameters, groups, features, values[chosen])
    if not len(seen.pending):
        return known
    pending = columns.features(seen.pending[:_MOST])
    expected, _ = known.predict(pending)
    both = np.concatenate([features, pending])
    return condition(hyperparameters, groups, both, np.concatenate([values[chosen], expected]))


def _feasible(seen: Observations, columns: Columns) -> Posterior | None:
    """Return a surrogate that is positive where training is possible; None while all was."""
    import numpy as np

    if not len(seen.infeasible):
        return None
    bad = seen.infeasible[-_MOST // 2 :]
    chosen = _subset(seen.points, seen.losses, columns, _MOST // 2)
    points = np.concatenate([seen.points[chosen], bad])
    labels = np.concatenate([np.ones(len(chosen)), -np.ones(len(bad))])
    hyperparameters = _learned(columns, points, labels)
    return condition(hyperparameters, columns.groups, columns.features(points), labels)


def _milestone(count: int) -> int:
    """Return the last of 2, 3, …, 16, 18, 20, 22, 24, 27, … that *count* has reached."""
    at = 2
    while (following := at + max(1, at // 8)) <= count:
        at = following
    return at


def _subset(points: Array, losses: Array, columns: Columns, most: int) -> NDArray[np.intp]:
    """Return at most *most* trials: the best, those near the best one, and some from everywhere."""
    import numpy as np

    count = len(losses)
    if count <= most:
        return np.arange(count)
    order = np.argsort(losses, kind="stable")
    best = order[: most // 4]
    features = columns.features(points)
    distances = np.sum((features - features[order[0]]) ** 2, axis=1)
    near = np.argsort(distances, kind="stable")[: most // 2]
    spread = np.linspace(0, count - 1, most // 4).astype(np.intp)
    return np.unique(np.concatenate([best, near, spread]))


def _learned(columns: Columns, points: Array, values: Array) -> Hyperparameters:
    """Return the hyperparameters that *values* (n,) at *points* (n, d) suggest."""
    import numpy as np

    chosen = _subset(points, values, columns, _LEARNED_FROM)
    points, values = np.ascontiguousarray(points[chosen]), values[chosen]
    return _fitted(columns, points.tobytes(), values.tobytes())


@lru_cache(maxsize=64)
def _fitted(columns: Columns, points: bytes, values: bytes) -> Hyperparameters:
    import numpy as np

    places = np.frombuffer(points).reshape(-1, columns.dimension)
    features = columns.features(places)
    return fit(features, columns.groups, np.frombuffer(values), columns.dimension)
