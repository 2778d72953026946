"""What the trials so far say about each hyperparameter: its share of what matters, its effect, its best.

All is read off the Gaussian process that proposes. Its losses are made even (``surrogate/skew.py``); what
is told to people is turned back into those of ``observe``: the objective's own units, or with several
objectives, and while no trial keeps the constraints on outcomes, places in an order of the trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.search.columns import Columns, columns_of
from luthier.search.models import learned, subset
from luthier.search.observations import observe
from luthier.search.surrogate.gaussian import Posterior, condition, matern, squared_distances
from luthier.search.surrogate.skew import evened
from luthier.search.surrogate.threads import one_thread
from luthier.space import Space
from luthier.study.events import Effect
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FEWEST = 4  # trials, and values of a hyperparameter, that say anything
_MOST = 150
_VALUES = 15  # looked at along a range
_BASES = 5  # good trials round which importance is measured
_DEVIATIONS = 1.645  # to the ends of a 90 % interval


@dataclass(frozen=True)
class Evidence:
    """The study as a surrogate sees it.

    Attributes:
        columns: of the space.
        points: (n, d) places of the trials with a finite loss.
        losses: (n,) theirs.
        even: (n,) the same, as the surrogate was told them.
        surrogate: of the even losses.
    """

    columns: Columns
    points: Array
    losses: Array
    even: Array
    surrogate: Posterior

    def varied(self) -> list[int]:
        """Return the columns of which enough values were tried to tell."""
        import numpy as np

        of = self.columns
        return [
            column
            for column, (options, domain) in enumerate(zip(of.options, of.domains, strict=True))
            if len(np.unique(self.points[~np.isnan(self.points[:, column]), column]))
            >= (2 if options else min(_FEWEST, domain.cardinality or _FEWEST))
        ]

    def along(self, column: int, base: Array, low: float = 0.0, high: float = 1.0) -> Array:
        """Return *base* (d,) with one column at values from *low* to *high* (m, d)."""
        import numpy as np

        domain = self.columns.domains[column]
        count = domain.cardinality
        places = low + (high - low) * (np.arange(_VALUES) + 0.5) / _VALUES
        if count is not None and count <= _VALUES:  # the places of its values, whatever its scale
            every = np.array([domain.encode(value) for value in domain.values()])
            inside = every[(every >= low - 1e-9) & (every <= high + 1e-9)]
            places = inside if len(inside) else np.array([low, high])
        found = np.repeat(base[None, :], len(places), axis=0)
        found[:, column] = places
        return found

    def mean(self, points: Array) -> Array:
        """Return what the surrogate expects at *points* (m, d)."""
        return self.surrogate.predict(self.columns.features(points))[0]

    def in_units(self, even: Array) -> Array:
        """Return losses for even ones; between those of the trials, and never beyond them."""
        import numpy as np

        order = np.argsort(self.even, kind="stable")
        return np.interp(even, self.even[order], self.losses[order])

    def difference(self, worse: Array, better: Array) -> tuple[float, float, float]:
        """Return what is gained from one place (d,) to the other, its deviation, and the mean there."""
        import numpy as np

        model = self.surrogate
        features = self.columns.features(np.stack([worse, better]))
        scaled = features / model.hyperparameters.lengths
        signal = model.hyperparameters.signal
        to_known, _ = matern(squared_distances(scaled, model.scaled), signal)
        between, _ = matern(squared_distances(scaled, scaled), signal)
        covariance = between - to_known @ model.inverse @ to_known.T
        mean = model.mean + to_known @ model.weights
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        deviation = math.sqrt(max(0.0, float(variance)))
        return float(mean[0] - mean[1]), deviation, float(mean[1])


def evidence(history: History, space: Space) -> Evidence | None:
    """Return what is known; None from fewer trials than say anything."""
    seen = observe(history, space)
    if len(seen.losses) < _FEWEST or not seen.dimension:
        return None
    columns = columns_of(space)
    even = evened(seen.losses)
    chosen = subset(seen.points, seen.losses, columns, _MOST)
    with one_thread():
        hyperparameters = learned(columns, seen.points, even, _MOST)
        features = columns.features(seen.points[chosen])
        surrogate = condition(hyperparameters, columns.groups, features, even[chosen])
    return Evidence(columns, seen.points[chosen], seen.losses[chosen], even[chosen], surrogate)


def importance(history: History, space: Space) -> dict[str, float]:
    """Return the share of each hyperparameter that was varied in what moves the loss near good trials.

    The variance of the surrogate's expectation along it, the others at those of the best trials, over the
    sum of all: main effects where they count. ``{}`` while there is too little to tell.
    """
    import numpy as np

    known = evidence(history, space)
    if known is None:
        return {}
    expected = known.mean(known.points)
    bases = known.points[np.argsort(expected, kind="stable")[:_BASES]]
    columns = known.varied()
    moved = [
        float(
            np.mean(
                [known.mean(known.along(c, b)).var() for b in bases if not math.isnan(b[c])] or 0.0
            )
        )
        for c in columns
    ]
    total = sum(moved) or 1.0
    return {known.columns.names[c]: m / total for c, m in zip(columns, moved, strict=True)}


def effect(
    known: Evidence, share: float, column: int, base: Array, low: float, high: float
) -> Effect:
    """Return what *column* does from *low* to *high* round *base* (d,)."""
    import numpy as np

    places = known.along(column, base, low, high)
    expected = known.mean(places)
    worse, better = places[expected.argmax()], places[expected.argmin()]
    gain, deviation, best = known.difference(worse, better)
    spread = _DEVIATIONS * deviation
    even = best + np.array([0.0, gain, max(0.0, gain - spread), gain + spread])
    here, middle, least, most = map(float, known.in_units(even))
    middle, least, most = middle - here, least - here, most - here
    return Effect(_short(share), _short(middle), _short(least), _short(most))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def best_along(known: Evidence, column: int, base: Array, low: float, high: float) -> float:
    """Return the place of *column* between *low* and *high* where the least loss is expected."""
    places = known.along(column, base, low, high)
    return float(places[known.mean(places).argmin(), column])
