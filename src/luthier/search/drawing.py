"""What CMA-ES draws from its distribution, and what a trial tells it: places in its own coordinates.

Discrete axes are stretched by a diagonal matrix A, so that their neighbouring values stay likely (Hamano
et al. 2022, "CMA-ES with margin"). Trials from elsewhere: Hansen 2011, "Injecting external
solutions into CMA-ES".
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.search.columns import Columns
from luthier.study.chance import Chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FINE = 64  # values of an evenly spaced hyperparameter; with more it is continuous
_NEGLIGIBLE = 1e-7  # of a range; a tenth of the distance between two values
_DRAWS = 64  # from which the first new one is taken
_SAME = 1e-8  # of a range: what decoding and encoding may change
_TINY = 1e-300


@lru_cache(maxsize=16)
def axes_of(columns: Columns) -> Axes:
    """Return the axes of *columns*."""
    return Axes(columns)


class Axes:
    """The columns of a space as a strategy knows them: at least two, or the package refuses them.

    Attributes:
        steps: (n,) the distance between the values of each axis, 0 where it is continuous.
        bounds: (n, 2) its lowest and highest value.
        negligible: (n,) the deviation below which draws differ by nothing that matters.
    """

    def __init__(self, columns: Columns) -> None:
        import numpy as np

        self.columns = columns
        n = max(2, columns.dimension)
        self.steps, self.bounds = np.zeros(n), np.tile([0.0, 1.0], (n, 1))
        self.negligible = np.full(n, np.inf)
        self._exact = np.array([d.cardinality is None for d in columns.domains], dtype=bool)
        for axis, domain in enumerate(columns.domains):
            count = domain.cardinality
            self.negligible[axis] = 0.1 / count if count else _NEGLIGIBLE
            if count and 1 < count <= _FINE and getattr(domain, "scale", "linear") == "linear":
                self.steps[axis] = 1 / count
                self.bounds[axis] = 0.5 / count, 1 - 0.5 / count

    def drawn(self, strategy: Any, chance: Chance) -> tuple[Array, Array]:
        """Return draws as places (m, d), not rounded, and as what to tell *strategy* (m, n).

        Those inside the space come first; the others are moved to its edge.
        """
        import numpy as np

        mean, root, _, stretch = _shape(strategy)
        normal = chance.of("cma").generator().standard_normal((_DRAWS, len(mean)))
        drawn = mean + normal @ root.T
        free = self.steps == 0
        outside = ((drawn < 0) | (drawn > 1))[:, free].any(axis=1)
        drawn = drawn[np.argsort(outside, kind="stable")]
        drawn[:, free] = np.clip(drawn[:, free], 0.0, 1.0)
        return (mean + (drawn - mean) * stretch)[:, : self.columns.dimension], drawn

    def draw_at(self, place: Array, strategy: Any, chance: Chance) -> Array | None:
        """Return the draw (n,) of *strategy* that was trained at *place* (d,); None if none was."""
        import numpy as np

        places, drawn = self.drawn(strategy, chance)
        exact = self._exact & ~np.isnan(place)
        near = np.flatnonzero((np.abs(places - place)[:, exact] < _SAME).all(axis=1))
        if not len(near):
            return None
        away = np.nan_to_num(self.columns.rounded(places[near]), nan=-1.0)
        same = (np.abs(away - np.nan_to_num(place, nan=-1.0)) < _SAME).all(axis=1)
        return drawn[near[same.argmax()]] if same.any() else None

    def nearest(self, place: Array, strategy: Any) -> Array:
        """Return the point (n,) nearest to the mean that is trained at *place* (d,)."""
        import numpy as np

        mean, _, _, stretch = _shape(strategy)
        half = (
            0.45 * self.steps[: len(place)]
        )  # not the very edge, where the margin divides by zero
        goal = mean.copy()
        goal[: len(place)] = np.clip(mean[: len(place)], place - half, place + half)
        return mean + np.nan_to_num(goal - mean) / stretch  # what is inactive says nothing

    def exhausted(self, strategy: Any) -> bool:
        """Return whether the distribution has nothing new to draw, or broke down numerically."""
        import numpy as np

        _, root, _, stretch = _shape(strategy)
        deviations = stretch * np.sqrt((root**2).sum(axis=1))
        sound = np.isfinite(deviations) & (stretch > 0)
        return bool((deviations < self.negligible).all() or not sound.all())


def clipped(point: Array, strategy: Any) -> Array:
    """Return *point* (n,) no further from the mean than draws are: c_y = √n + 2n/(n + 2), Hansen 2011."""
    import numpy as np

    mean, _, inverse, _ = _shape(strategy)
    n, away = len(mean), point - mean
    length = float(np.linalg.norm(inverse @ away))
    return mean + away * min(1.0, (np.sqrt(n) + 2 * n / (n + 2)) / max(length, _TINY))


def _shape(strategy: Any) -> tuple[Array, Array, Array, Array]:
    """Return mean m, root R of the covariance σ²C = RRᵀ, its inverse, and A, the stretch of each axis.

    The package has no public names for them.
    """
    import numpy as np

    inner = strategy._cma
    directions, lengths = inner._eigen_decomposition()
    lengths = np.maximum(inner._sigma * lengths, _TINY)
    stretch = getattr(strategy, "_A", np.ones(inner.dim))
    return inner.mean, directions * lengths, directions.T / lengths[:, None], stretch
