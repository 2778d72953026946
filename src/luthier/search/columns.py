"""A space as the columns of an array: rounding, activity and beliefs for many points at once."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.space import Bool, Choice, Constant, Domain, Float, Int, Space
from luthier.space.domains import SHARE, SPREAD

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# The share of a belief that is even over the range: the belief may be wrong, and how good a place is must be
# able to speak against it (as in robust priors: heavy tails).
_EVEN = 0.05
_LOG_EVEN, _LOG_NEAR = math.log(_EVEN), math.log1p(-_EVEN)


@lru_cache(maxsize=16)
def columns_of(space: Space) -> Columns:
    """Return the columns of *space*."""
    return Columns(space)


class Columns:
    """The searched hyperparameters of a space, one a column, in the space's order.

    Attributes:
        names: of the hyperparameters.
        domains: theirs.
        options: for each column the number of a choice's options, 0 for what has an order.
        conditional: whether some are active only sometimes.
        believes: whether the user has said where good values lie.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = space.searched
        self.domains = [space.domains[name] for name in self.names]
        self.options = [
            d.cardinality or 0 if isinstance(d, Choice | Bool) else 0 for d in self.domains
        ]
        self.conditional = any(d.condition for d in space.domains.values())
        self.believes = any(getattr(d, "prior", None) is not None for d in self.domains)

    @property
    def dimension(self) -> int:
        """Return the number of columns."""
        return len(self.names)

    @property
    def bounds(self) -> Array:
        """Return the lowest and the highest place in each column (d, 2)."""
        import numpy as np

        return np.tile([0.0, 1.0], (self.dimension, 1))

    def discrete(self, most: int) -> Flags:
        """Return which columns are choices or have at most *most* values."""
        import numpy as np

        return np.array(
            [
                bool(count) or (d.cardinality is not None and d.cardinality <= most)
                for count, d in zip(self.options, self.domains, strict=True)
            ],
            dtype=bool,
        )

    def rounded(self, points: Array, *, active_only: bool = True) -> Array:
        """Return the points (n, d) moved to the nearest values there are; NaN where inactive."""
        import numpy as np

        found = np.clip(points, 0.0, 1.0)
        for column, domain in enumerate(self.domains):
            found[:, column] = _rounded(domain, found[:, column])
        if self.conditional and active_only:
            found[~self.active(found)] = math.nan
        return found

    def active(self, points: Array) -> Flags:
        """Return which entries of *points* (n, d), rounded before, are active."""
        import numpy as np

        on, flags = self._on(points), np.ones(points.shape, dtype=bool)
        for column, name in enumerate(self.names):
            flags[:, column] = on[name]
        return flags

    def _on(self, points: Array) -> dict[str, Flags]:
        """Return at which of *points* each hyperparameter, constants among them, is active."""
        import numpy as np

        found: dict[str, Flags] = {}
        for key, domain in self.space.domains.items():
            found[key] = np.ones(len(points), dtype=bool)
            for parent, values in domain.condition:
                found[key] &= found[parent] & self._holds(parent, values, points)
        return found

    def allowed(self, points: Array) -> Flags:
        """Return which of *points* (n, d), rounded before, keep the space's constraints."""
        import numpy as np

        keep = np.ones(len(points), dtype=bool)
        if not self.space.constraints:
            return keep
        # Only what the constraints speak of is decoded: of many hyperparameters it is a few.
        names = sorted({name for each in self.space.constraints for name in each.names})
        on, values = self._on(points), [self._values(name, points) for name in names]
        for row in range(len(points)):
            known = zip(names, values, strict=True)
            said = {name: column[row] for name, column in known if on[name][row]}
            keep[row] = self.space.satisfies(said)
        return keep

    def _values(self, name: str, points: Array) -> list[Any]:
        """Return the value of a hyperparameter at each of *points*, anything where it is inactive."""
        import numpy as np

        domain = self.space.domains[name]
        if isinstance(domain, Constant):
            return [domain.value] * len(points)
        places = np.nan_to_num(points[:, self.names.index(name)], nan=0.5)
        return [domain.decode(place) for place in places.tolist()]

    def _holds(self, parent: str, values: tuple[Any, ...], points: Array) -> Flags:
        import numpy as np

        domain = self.space.domains[parent]
        if isinstance(domain, Constant):
            return np.full(len(points), domain.value in values)
        column = np.nan_to_num(points[:, self.names.index(parent)], nan=0.5)
        places, which = np.unique(column, return_inverse=True)
        holds = np.array([_among(domain.decode(float(p)), values) for p in places], dtype=bool)
        return holds[which]

    def drawn(self, uniforms: Array, *, active_only: bool = True) -> Array:
        """Return the points (n, d) at these quantiles of the beliefs, rounded; see ``_EVEN``."""
        import numpy as np
        from scipy.special import ndtr, ndtri

        points = np.array(uniforms, dtype=np.float64)
        for column, domain in enumerate(self.domains):
            prior, given = getattr(domain, "prior", None), points[:, column]
            if prior is None:
                continue
            if self.options[column]:
                points[:, column] = [domain.encode(domain.quantile(float(u))) for u in given]
                continue
            belief, spread = domain.encode(prior), SPREAD[domain.confidence]  # type: ignore[attr-defined]
            low, high = ndtr(-belief / spread), ndtr((1 - belief) / spread)
            share = np.maximum(given - _EVEN, 0.0) / (1 - _EVEN)
            near = belief + spread * ndtri(low + share * (high - low))
            points[:, column] = np.where(given < _EVEN, given / _EVEN, np.clip(near, 0.0, 1.0))
        return self.rounded(points, active_only=active_only)

    def log_belief(self, points: Array) -> Array:
        """Return the logarithm of the beliefs' density at *points* (n, d); even shares are at 0."""
        import numpy as np

        total = np.zeros(len(points))
        for column, domain in enumerate(self.domains):
            prior = getattr(domain, "prior", None)
            if prior is None:
                continue
            belief = domain.encode(prior)
            place = points[:, column]
            if count := self.options[column]:
                likely = 1 / count + (1 - 1 / count) * SHARE[domain.confidence]  # type: ignore[attr-defined]
                other = max(1 - likely, 1e-9) / max(1, count - 1)
                found = np.where(np.abs(place - belief) < 0.5 / count, likely, other)
                total += np.where(np.isnan(place), 0.0, np.log(found * count))
            else:
                spread = SPREAD[domain.confidence]  # type: ignore[attr-defined]
                away = np.where(np.isnan(place), 0.0, place - belief)
                near = _LOG_NEAR - 0.5 * (away / spread) ** 2 - _log_mass(belief, spread)
                total += np.where(np.isnan(place), 0.0, np.logaddexp(near, _LOG_EVEN))
        return total

    def belief_slope(self, points: Array) -> Array:
        """Return the gradient (n, d) of ``log_belief``; zero for choices."""
        import numpy as np

        slope = np.zeros_like(points)
        for column, domain in enumerate(self.domains):
            prior = getattr(domain, "prior", None)
            if prior is not None and not self.options[column]:
                belief, spread = domain.encode(prior), SPREAD[domain.confidence]  # type: ignore[attr-defined]
                away = np.nan_to_num(points[:, column] - belief)
                near = _LOG_NEAR - 0.5 * (away / spread) ** 2 - _log_mass(belief, spread)
                part = np.exp(near - np.logaddexp(near, _LOG_EVEN))
                slope[:, column] = -part * away / spread**2
        return slope

    def neighbours(self, point: Array, most: int) -> Array:
        """Return the points one step from *point* (d,) in one discrete hyperparameter.

        A step goes to the next value of what is ordered and has at most *most* values, and to any
        other option of a choice.
        """
        import numpy as np

        found: list[Array] = []
        for column in map(int, np.flatnonzero(self.discrete(most))):
            if np.isnan(point[column]):
                continue
            for there in self.beside(column, float(point[column])):
                near = np.where(np.isnan(point), 0.5, point)
                near[column] = there
                found.append(near)
        return self.rounded(np.array(found).reshape(-1, self.dimension))

    def beside(self, column: int, place: float) -> list[float]:
        """Return the places of the next lower and the next higher value, or of all other options."""
        count = self.domains[column].cardinality or 1
        here = self._index(column, place, count)
        steps = range(count) if self.options[column] else (here - 1, here + 1)
        return [self._place(column, n, count) for n in steps if 0 <= n < count and n != here]

    def _index(self, column: int, place: float, count: int) -> int:
        domain = self.domains[column]
        if isinstance(domain, Int) and domain.scale == "log":
            return domain.decode(place) - domain.low
        return min(count - 1, int(place * count))

    def _place(self, column: int, index: int, count: int) -> float:
        domain = self.domains[column]
        if isinstance(domain, Int) and domain.scale == "log":
            return domain.encode(domain.low + index)
        return (index + 0.5) / count

    def features(self, points: Array) -> Array:
        """Return the points (n, d) as features (n, q) for distances: a choice is one column an option.

        Two different options are at distance 1, and what is inactive is in the middle of its range.
        """
        import numpy as np

        filled = np.where(np.isnan(points), 0.5, points)
        if not any(self.options):
            return filled
        parts: list[Array] = []
        for column, count in enumerate(self.options):
            if not count:
                parts.append(filled[:, column, None])
                continue
            place = points[:, column, None]
            index = np.where(np.isnan(place), -1, np.floor(filled[:, column, None] * count))
            index = np.minimum(index, count - 1)
            parts.append(np.where(index == np.arange(count), math.sqrt(0.5), 0.0))
        return np.concatenate(parts, axis=1)

    @property
    def groups(self) -> NDArray[np.intp]:
        """Return the column of each feature, shape (q,)."""
        import numpy as np

        return np.repeat(np.arange(self.dimension), [max(1, count) for count in self.options])


def _log_mass(belief: float, spread: float) -> float:
    """Return the logarithm of what a normal's density is divided by when it is cut off at 0 and 1."""
    from scipy.special import ndtr

    mass = float(ndtr((1 - belief) / spread) - ndtr(-belief / spread))
    return math.log(spread * math.sqrt(2 * math.pi) * mass)


def _among(value: Any, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(v) and value == v for v in values)


def _rounded(domain: Domain, places: Array) -> Array:
    import numpy as np

    count = domain.cardinality
    if count is None:
        return places
    if isinstance(domain, Int) and domain.scale == "log":
        low, high = math.log(domain.low - 0.5), math.log(domain.high + 0.5)
        values = np.clip(np.rint(np.exp(low + places * (high - low))), domain.low, domain.high)
        return (np.log(values) - low) / (high - low)
    if isinstance(domain, Int | Float | Choice | Bool):
        return (np.minimum(np.floor(places * count), count - 1) + 0.5) / count
    return np.array([domain.encode(domain.decode(float(place))) for place in places])
