"""What a surrogate makes of the objective over one hyperparameter, or over two.

A Gaussian process, the one that guided searchers propose by, is fitted to all trials that have a value.
The picture is a cut through it: all other hyperparameters stay as they are in the best trial. Where few
trials lie near the cut, the interval is wide: the picture shows what is not known as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.errors import StudyError
from luthier.insight.trials import (
    Source,
    Tried,
    column_of,
    enough_for,
    history_of,
    reported,
    tried,
)
from luthier.search.columns import Columns
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEWEST = 5  # trials with a value
_SLICE, _CONTOUR = 61, 33  # places along an axis that has no fewer values
_QUANTILE = 1.645  # deviations from the mean to either end of an interval of 90 %


@dataclass(frozen=True, eq=False)
class Slice:
    """The objective over one hyperparameter.

    Attributes:
        name: of the hyperparameter.
        metric: of the objective.
        places: (m,) in the unit cube, on the hyperparameter's own scale.
        mean: (m,) the expected value, as it is reported.
        low: (m,) the lower end of the interval of 90 % for it.
        high: (m,) the upper end.
        around: number of the trial that all other hyperparameters are taken from.
        trials: that the surrogate has learned from.
    """

    name: str
    metric: str
    places: Array
    mean: Array
    low: Array
    high: Array
    around: int
    trials: int


@dataclass(frozen=True, eq=False)
class Contour:
    """The objective over two hyperparameters; otherwise as ``Slice``.

    Attributes:
        names: of the hyperparameters, the one across first.
        metric: of the objective.
        across: (a,) places of the first one.
        up: (b,) places of the second one.
        mean: (b, a) the expected value.
        width: (b, a) of the interval of 90 %.
        around: number of the trial that all other hyperparameters are taken from.
        trials: that the surrogate has learned from.
    """

    names: tuple[str, str]
    metric: str
    across: Array
    up: Array
    mean: Array
    width: Array
    around: int
    trials: int


def response(source: Source, name: str) -> Slice:
    """Return the objective over the hyperparameter *name*, as a Gaussian process expects it.

    Args:
        source: a study or its history.
        name: full, or within its branch.

    Raises:
        StudyError: nothing is called so, or fewer than five trials have a value, or all the same one.
    """
    history, found = _asked(source)
    column = column_of(found.columns, name)
    around = _around(history, found, [column])
    places = _places(found.columns, column, _SLICE)
    mean, low, high = _expected(history, found, _cut(found, around, {column: places}))
    return Slice(
        found.columns.names[column],
        history.objective.metric,
        places,
        mean,
        low,
        high,
        int(found.numbers[around]),
        _learned_from(found),
    )


def contour(source: Source, first: str | None = None, second: str | None = None) -> Contour:
    """Return the objective over two hyperparameters, as a Gaussian process expects it.

    Args:
        source: a study or its history.
        first: the one across; by default the most important one. With too few trials to tell which
            that is, the first in the space.
        second: the one upwards; by default the next one.

    Raises:
        StudyError: as ``response``; or both are the same, or never active in one trial.
    """
    import numpy as np

    history, found = _asked(source)
    one, two = _pair(history, found, first, second)
    around = _around(history, found, [one, two])
    across, up = _places(found.columns, one, _CONTOUR), _places(found.columns, two, _CONTOUR)
    x, y = (grid.ravel() for grid in np.meshgrid(across, up))
    mean, low, high = _expected(history, found, _cut(found, around, {one: x, two: y}))
    shape = (len(up), len(across))
    return Contour(
        (found.columns.names[one], found.columns.names[two]),
        history.objective.metric,
        across,
        up,
        mean.reshape(shape),
        (high - low).reshape(shape),
        int(found.numbers[around]),
        _learned_from(found),
    )


def _asked(source: Source) -> tuple[History, Tried]:
    import numpy as np

    history, found = history_of(source), tried(source)
    enough_for("A surrogate", found, FEWEST)
    finite = found.first[np.isfinite(found.first)]
    if len(finite) < FEWEST or np.ptp(finite) <= 0:
        raise StudyError(
            f"A surrogate needs {FEWEST} trials that differ in {history.objective.metric}; "
            f"of {len(finite)} with a value, {len(np.unique(finite))} differ."
        )
    return history, found


def _learned_from(found: Tried) -> int:
    import numpy as np

    return int(np.isfinite(found.first).sum())


def _pair(history: History, found: Tried, first: str | None, second: str | None) -> tuple[int, int]:
    import numpy as np

    columns = found.columns
    if columns.dimension < 2:
        raise StudyError("A contour needs two hyperparameters that are searched; there is one.")
    chosen = [None if name is None else column_of(columns, name) for name in (first, second)]
    if None in chosen:
        from luthier.insight import importances

        order = list(range(columns.dimension))
        if np.isfinite(found.losses).sum() >= importances.FEWEST:
            ranked = importances.importance(history, "ped_anova")
            order = [columns.names.index(i.name) for i in ranked]
        for place, column in enumerate(chosen):
            if column is None:
                chosen[place] = next(c for c in order if c not in chosen)
    one, two = chosen
    assert one is not None
    assert two is not None
    if one == two:
        raise StudyError(f"A contour needs two hyperparameters, got {columns.names[one]!r} twice.")
    return one, two


def _around(history: History, found: Tried, active: list[int]) -> int:
    """Return the row of the best trial in which the columns *active* all are, by what it has reported."""
    import numpy as np

    losses = reported(history, found)
    usable = np.isfinite(losses) & ~np.isnan(found.points[:, active]).any(axis=1)
    if not usable.any():
        names = " and ".join(repr(found.columns.names[c]) for c in active)
        raise StudyError(f"No trial with a value has had {names} active so far.")
    rows = np.flatnonzero(usable)
    return int(rows[np.argmin(losses[rows])])


def _places(columns: Columns, column: int, most: int) -> Array:
    """Return where a hyperparameter is looked at: at each of its values, if these are few."""
    import numpy as np

    domain = columns.domains[column]
    count = domain.cardinality
    if count is None or (count > most and not columns.options[column]):
        return np.linspace(0.0, 1.0, most)
    if columns.options[column]:
        return (np.arange(count) + 0.5) / count
    values = range(domain.low, domain.high + 1)  # type: ignore[attr-defined]
    return np.array([domain.encode(value) for value in values])


def _cut(found: Tried, around: int, moved: dict[int, Array]) -> Array:
    """Return the points (m, d) that differ from trial *around* in the columns *moved* alone."""
    import numpy as np

    count = len(next(iter(moved.values())))
    points = np.tile(found.points[around], (count, 1))
    for column, places in moved.items():
        points[:, column] = places
    return points


def _expected(history: History, found: Tried, points: Array) -> tuple[Array, Array, Array]:
    """Return mean and interval of the objective, as it is reported, at *points* (m, d)."""
    import numpy as np

    from luthier.search.models import MOST, learned, subset
    from luthier.search.surrogate.gaussian import condition
    from luthier.search.surrogate.skew import evened

    columns = found.columns
    usable = np.isfinite(found.first)
    known, losses = np.ascontiguousarray(found.points[usable]), found.first[usable]
    values = evened(losses)
    chosen = subset(known, losses, columns, MOST)
    process = condition(
        learned(columns, known, values), columns.groups, columns.features(known[chosen]),
        values[chosen],
    )  # fmt: skip
    mean, variance = process.predict(columns.features(points))
    reach = _QUANTILE * np.sqrt(np.maximum(variance, 0.0))
    ends = [_undone(mean + side * reach, values, losses) for side in (0.0, -1.0, 1.0)]
    if history.objective.direction == "maximize":
        return -ends[0], -ends[2], -ends[1]
    return ends[0], ends[1], ends[2]


def _undone(wanted: Array, values: Array, losses: Array) -> Array:
    """Return the losses whose evened values are *wanted*: straight on beyond the trials' own."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    x, y = values[order], losses[order]
    near = max(1, len(x) // 10)
    down = (y[near] - y[0]) / max(x[near] - x[0], 1e-9)
    up = (y[-1] - y[-1 - near]) / max(x[-1] - x[-1 - near], 1e-9)
    x = np.concatenate([[x[0] - 10], x, [x[-1] + 10]])
    return np.interp(wanted, x, np.concatenate([[y[0] - 10 * down], y, [y[-1] + 10 * up]]))
