"""Finds where an acquisition is highest in a mixed space.

Many random places and neighbours of good trials are looked at; from the best of them a gradient climbs
over what is continuous, all at once (Ament et al. 2023, appendix B); then steps in what is discrete are
tried one by one. What the space's constraints refuse is looked at nowhere: a climb that ends there goes
back towards where it began until it is inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.search.columns import Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

    Score = Callable[[Array], Array]
    Slopes = Callable[[Array], tuple[Array, Array]]

_EVERYWHERE = 256
_AROUND = 32  # neighbours of each good trial
_STARTS = 4
_STEPS = 40  # of the gradient ascent
_FINE = 32  # ordered values; a hyperparameter with more is climbed as if it were continuous
_PASSES = 2
_DRAWS = 8  # of all places, where constraints refuse most
_HALVINGS = 12  # of the way back from a place that is refused


@dataclass(frozen=True)
class Maximiser:
    """Where to look and what for.

    Attributes:
        columns: the space.
        score: the acquisition at rounded points (m, d).
        slopes: the same and its gradient (m, d) with respect to the points; zero for choices.
        even: the share of the random places that are drawn evenly, from 0 to 1; the others follow beliefs.
    """

    columns: Columns
    score: Score
    slopes: Slopes
    even: float = 0.0

    def ranked(self, good: Array, generator: np.random.Generator) -> Array:
        """Return points (m, d), the most promising first.

        Args:
            good: (k, d) places to look around.
            generator: the source of chance.
        """
        import numpy as np

        pool = [self._everywhere(generator)]
        for place in good:
            around = self._around(place, generator)
            pool.append(around[self.columns.allowed(around)])
        points = np.unique(np.concatenate(pool), axis=0)
        scores = self.score(points)
        starts = points[np.argsort(-scores, kind="stable")[:_STARTS]]
        climbed = self._climbed(starts)
        stepped = self._stepped(climbed)
        points = np.concatenate([stepped, climbed, points])
        scores = np.concatenate([self.score(stepped), self.score(climbed), scores])
        return points[np.argsort(-scores, kind="stable")]

    def _everywhere(self, generator: np.random.Generator) -> Array:
        """Return random points, drawn again where the constraints refuse them."""
        import numpy as np

        shape = (_EVERYWHERE, self.columns.dimension)
        uniforms = generator.random(shape)
        found = self.columns.drawn(uniforms)
        evenly = round(self.even * len(found))
        found[:evenly] = self.columns.rounded(uniforms[:evenly])
        kept = found[self.columns.allowed(found)]
        for _ in range(_DRAWS - 1):
            if 2 * len(kept) >= _EVERYWHERE:
                break
            more = self.columns.drawn(generator.random(shape))
            kept = np.concatenate([kept, more[self.columns.allowed(more)]])
        return kept if len(kept) else found

    def _around(self, place: Array, generator: np.random.Generator) -> Array:
        import numpy as np

        shape = (_AROUND, self.columns.dimension)
        fresh = generator.random(shape)
        near = np.where(np.isnan(place), fresh, place)
        size = 10.0 ** generator.uniform(-3.0, -0.5, (_AROUND, 1))
        moved = near + size * generator.standard_normal(shape)
        options = np.array(self.columns.options) > 0
        moved[:, options] = np.where(generator.random(shape) < 0.5, fresh, near)[:, options]
        share = generator.uniform(1.0 / shape[1], 1.0, (_AROUND, 1))
        touched = generator.random(shape) < share
        touched[np.arange(_AROUND), generator.integers(shape[1], size=_AROUND)] = True
        return self.columns.rounded(np.where(touched, moved, near))

    def _climbed(self, starts: Array) -> Array:
        """Return the ends of a joint gradient ascent from *starts* (k, d)."""
        import numpy as np
        from scipy.optimize import minimize

        free = ~self.columns.discrete(_FINE)[None, :] & ~np.isnan(starts)
        if not free.any():
            return starts

        def cost(flat: Array) -> tuple[float, Array]:
            points = starts.copy()
            points[free] = flat
            value, slope = self.slopes(points)
            return -float(value.sum()), -slope[free]

        solver: Any = minimize
        found = solver(
            cost,
            starts[free],
            jac=True,
            method="L-BFGS-B",
            bounds=np.broadcast_to(self.columns.bounds, (*starts.shape, 2))[free],
            options={"maxiter": _STEPS, "maxcor": 10},
        )
        ends = np.where(np.isnan(starts), 0.5, starts)  # what a climb turns on begins in the middle
        ends[free] = np.where(np.isfinite(found.x), found.x, starts[free])
        return self._back(starts, self.columns.rounded(ends))

    def _back(self, starts: Array, ends: Array) -> Array:
        """Return *ends* (k, d), those that are refused moved back towards their *starts*."""
        import numpy as np

        found = ends.copy()
        for row in np.flatnonzero(~self.columns.allowed(ends)):
            inside, outside = 0.0, 1.0
            found[row] = starts[row]
            for _ in range(_HALVINGS):
                part = (inside + outside) / 2
                way = starts[row] + part * (ends[row] - starts[row])
                place = self.columns.rounded(np.where(np.isnan(way), 0.5, way)[None, :])
                if self.columns.allowed(place)[0]:
                    found[row], inside = place[0], part
                else:
                    outside = part
        return found

    def _stepped(self, points: Array) -> Array:
        """Return the best of *points*, improved by single steps in its discrete hyperparameters."""
        import numpy as np

        best = points[np.argmax(self.score(points))][None, :]
        if not self.columns.discrete(_FINE).any():
            return best
        for _ in range(_PASSES):
            near = self.columns.neighbours(best[0], _FINE)
            neighbours = np.concatenate([best, near[self.columns.allowed(near)]])
            found = neighbours[np.argmax(self.score(neighbours))][None, :]
            if np.array_equal(found, best, equal_nan=True):
                break
            best = self._climbed(found)
        return best
