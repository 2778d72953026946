"""The unit cube cut into bins, and how likely each is: what marginals are exact sums over.

A hyperparameter with few values has a bin for each; any other has bins that hold equally many trials.
One more bin, the last, is where an inactive hyperparameter lies. Where hyperparameters are conditional
the space is a sum of *branches*, one for each way in which the conditions may come out, and within a
branch the hyperparameters are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from luthier.search import sobol
from luthier.search.columns import Columns
from luthier.space import Constant, Domain, Int
from luthier.space.conditions import holds
from luthier.space.scales import to_unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

BINS = 32  # of a continuous range
_BRANCHES = 256  # that are kept: those with the most probability


@dataclass(frozen=True)
class Bins:
    """The cut cube.

    Attributes:
        columns: the searched hyperparameters.
        edges: for each column the bins' edges in [0, 1], ascending.
        count: bins of each column with the last one for what is inactive: the same for all columns.
    """

    columns: Columns
    edges: tuple[Array, ...]
    count: int

    def of(self, points: Array) -> NDArray[np.intp]:
        """Return the bin of each entry of *points* (n, d); the last one for NaN."""
        import numpy as np

        found = np.full(points.shape, self.count - 1, dtype=np.intp)
        for column, edges in enumerate(self.edges):
            place = points[:, column]
            active = ~np.isnan(place)
            found[active, column] = np.searchsorted(edges[1:-1], place[active], side="right")
        return found

    def measure(self, column: int) -> Array:
        """Return each bin's share of the column's range, shape (count,), when it is active."""
        import numpy as np

        found = np.zeros(self.count)
        found[: len(self.edges[column]) - 1] = np.diff(self.edges[column])
        return found

    def centre(self, column: int, index: int) -> float:
        """Return the middle of a bin."""
        edges = self.edges[column]
        return float(edges[index] + edges[index + 1]) / 2


@dataclass(frozen=True)
class Branches:
    """Where a configuration drawn evenly from the space falls.

    Attributes:
        weights: (b,) probability of each branch; they add up to 1.
        measures: (b, d, count) probability of each bin within the branch; each row adds up to 1.
    """

    weights: Array
    measures: Array

    def drawn(self, count: int, seed: int) -> NDArray[np.intp]:
        """Return bins (count, d) of configurations spread evenly over the space (Sobol' points)."""
        import numpy as np

        wide = self.measures.shape[1]
        points = sobol.points(seed, wide + 1, count)
        branch = np.searchsorted(np.cumsum(self.weights)[:-1], points[:, 0], side="right")
        below = np.cumsum(self.measures, axis=2)[branch]
        # Rounding may leave the last sum a little below 1.
        found = (below <= points[:, 1:, None]).sum(axis=2)
        last = self.measures.shape[2] - 1 - np.argmax(self.measures[..., ::-1] > 0, axis=2)
        return np.minimum(found, last[branch])


def bins_of(columns: Columns, points: Array) -> Bins:
    """Return bins for *columns* that suit trials at *points* (n, d)."""
    edges = tuple(
        _edges(domain, points[:, column]) for column, domain in enumerate(columns.domains)
    )
    return Bins(columns, edges, max((len(e) - 1 for e in edges), default=1) + 1)


def _edges(domain: Domain, places: Array) -> Array:
    import numpy as np

    values = domain.cardinality
    if values is not None and values <= BINS:
        if isinstance(domain, Int) and domain.scale == "log":
            low, high = domain.low - 0.5, domain.high + 0.5
            inner = [to_unit("log", low, high, domain.low + i + 0.5) for i in range(values - 1)]
            return np.array([0.0, *inner, 1.0])
        return np.arange(values + 1) / values
    known = np.unique(places[~np.isnan(places)])
    if len(known) < 2:
        return np.arange(BINS + 1) / BINS
    between = (known[1:] + known[:-1]) / 2
    if len(between) > BINS - 1:
        all_places = np.sort(places[~np.isnan(places)])
        at = np.quantile(all_places, np.arange(1, BINS) / BINS)
        between = np.unique(between[np.clip(np.searchsorted(between, at), 0, len(between) - 1)])
    return np.concatenate([[0.0], between[(between > 0) & (between < 1)], [1.0]])


@dataclass
class _Branch:
    """A branch in the making: the parents' values so far stand for all that meet the same conditions."""

    weight: float
    configuration: dict[str, Any] = field(default_factory=dict[str, Any])
    rows: list[Array] = field(default_factory=list["Array"])

    def grown(self, weight: float, row: Array, name: str, value: Any) -> _Branch:
        return _Branch(self.weight * weight, {**self.configuration, name: value}, [*self.rows, row])


def branches_of(bins: Bins) -> Branches:
    """Return the branches of the space; constraints on it are not looked at."""
    import numpy as np

    columns = bins.columns
    asked = _conditions(columns)
    found = [_Branch(1.0)]
    for name, domain in columns.space.domains.items():
        grown: list[_Branch] = []
        for branch in found:
            active = holds(domain.condition, branch.configuration)
            if isinstance(domain, Constant):
                if active:
                    branch.configuration[name] = domain.value
                grown.append(branch)
            elif not active:
                row = np.zeros(bins.count)
                row[-1] = 1.0
                branch.rows.append(row)
                grown.append(branch)
            else:
                grown += _opened(branch, bins, columns.names.index(name), asked.get(name, []))
        found = sorted(grown, key=lambda b: -b.weight)[:_BRANCHES]
    weights = np.array([branch.weight for branch in found])
    return Branches(weights / weights.sum(), np.array([branch.rows for branch in found]))


def _conditions(columns: Columns) -> dict[str, list[tuple[Any, ...]]]:
    """Return, by parent, the values that others are active for."""
    asked: dict[str, list[tuple[Any, ...]]] = {}
    for domain in columns.space.domains.values():
        for parent, values in domain.condition:
            asked.setdefault(parent, []).append(values)
    return asked


def _opened(
    branch: _Branch, bins: Bins, column: int, asked: list[tuple[Any, ...]]
) -> list[_Branch]:
    """Return the branches by an active hyperparameter: one for each set of conditions it can meet."""
    name, domain, measure = (
        bins.columns.names[column],
        bins.columns.domains[column],
        bins.measure(column),
    )
    if not asked:
        return [branch.grown(1.0, measure, name, None)]
    groups: dict[tuple[bool, ...], list[int]] = {}
    for index in range(len(bins.edges[column]) - 1):
        value = domain.decode(bins.centre(column, index))
        met = tuple(holds(((name, values),), _only(name, value)) for values in asked)
        groups.setdefault(met, []).append(index)
    found: list[_Branch] = []
    for indices in groups.values():
        row = measure * 0.0
        row[indices] = measure[indices]
        weight = float(row.sum())
        value = domain.decode(bins.centre(column, indices[0]))
        found.append(branch.grown(weight, row / weight, name, value))
    return found


def _only(name: str, value: Any) -> Mapping[str, Any]:
    return {name: value}
