"""What one hyperparameter does when the others are tuned as well for each of its values.

Godbole, Dahl, Gilmer, Shallue & Nado 2023, "Deep Learning Tuning Playbook": a *scientific*
hyperparameter is the one whose effect we ask for; *nuisance* ones have to be tuned for each of its
values to compare these fairly; *fixed* ones are held, and what is found holds for their values only. An
isolation plot shows, for each scientific value, the best over the nuisance ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from luthier.errors import StudyError
from luthier.insight.draws import Draw, by_chance, draw, reach
from luthier.insight.labelling import told_apart
from luthier.insight.order_statistics import quantile, resampled_chances
from luthier.insight.trials import Source, column_of, history_of
from luthier.search.columns import Columns, columns_of
from luthier.search.observations import places_of
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEWEST = 3  # trials with a value, for it to be compared
_INTERVAL = (0.05, 0.5, 0.95)
_SIGNIFICANCE = 0.05  # chance of a winner where the values make no difference, at most


@dataclass(frozen=True)
class Roles:
    """What each searched hyperparameter is to an experiment, by full names."""

    scientific: str
    nuisance: tuple[str, ...]
    fixed: tuple[str, ...]


@dataclass(frozen=True)
class Isolated:
    """The best over the nuisance hyperparameters at one value, or one bin, of the scientific one.

    Attributes:
        label: the value, or the bin's range.
        place: its middle in [0, 1] on the hyperparameter's own scale.
        trials: that had it and were trained long enough, or spent their budget otherwise: they diverged,
            broke a constraint, or were stopped before.
        median: the middle value of the best of ``Isolation.budget`` of them; NaN with too few, and
            infinite where half of such draws hold no trial that was trained long enough.
        low: the end of the interval of 90 % that is smaller.
        high: the larger one.
        best: trial number of the best one, -1 without any.
    """

    label: str
    place: float
    trials: int
    median: float
    low: float
    high: float
    best: int

    @property
    def too_few(self) -> bool:
        """Return True where there were fewer than three trials, so that nothing is said."""
        return math.isnan(self.median)


@dataclass(frozen=True)
class Isolation:
    """The values of a scientific hyperparameter, compared at equal budgets.

    Attributes:
        roles: of the hyperparameters.
        metric: that is compared.
        budget: trials that each value is given: the best of so many.
        epochs: that each trial is given.
        values: one record for each value or bin, in order.
        words: what follows, in a sentence.
    """

    roles: Roles
    metric: str
    budget: int
    epochs: int
    values: tuple[Isolated, ...]
    words: str

    def __str__(self) -> str:
        return self.words


def isolation(
    source: Source, scientific: str, nuisance: Sequence[str] | None = None, *, bins: int = 6
) -> Isolation:
    """Return, for each value of *scientific*, the best over the nuisance ones at equal budgets.

    Equal budgets are equally many epochs (the most that at least 3 trials of every value reached, where
    each value has as many) and equally many trials: the best of m, m the smallest number of trials any
    value has. A trial that a scheduler left behind before that many epochs has had its share of the budget:
    it is a draw that all lose that got there. One that diverged or breaks a constraint on outcomes loses
    against all. Repetitions of a race are left out. The intervals are those of the exact bootstrap: the best
    of m draws with replacement.

    The best value beats the second where the best trials of both are all its own, so many that chance alone
    would give as many to either of them in less than 5 % of all orders. Being the nearest of several values,
    the second makes that rarer still, so there is nothing to correct for.

    Args:
        source: a study or its history.
        scientific: the hyperparameter, by its full name or its name within its branch.
        nuisance: those that are tuned; by default all others. What is neither is fixed: only trials
            in which it is as in the best trial, within half a bin, count.
        bins: that a range of more values than this is cut into, evenly on its own scale.

    Raises:
        StudyError: an unknown name, the scientific one among the nuisance ones, fewer than two bins, or
            fewer than two values with 3 trials.
    """

    history = history_of(source)
    columns = columns_of(history.space)
    roles = _roles(columns, scientific, nuisance)
    if bins < 2:
        raise StudyError(f"bins must be at least 2, got {bins!r}.")
    column = columns.names.index(roles.scientific)
    places = places_of(history, history.space)
    edges, labels = _cut(columns, column, bins)
    held = _held(history, columns, roles, places, bins)
    groups = _groups(history, places[:, column], held, edges)
    compared = [group for group in groups if len(group) >= FEWEST]
    if len(compared) < 2:
        raise StudyError(
            f"Isolation of {roles.scientific!r} needs {FEWEST} trials at two of its values at least; "
            f"there are {', '.join(f'{len(g)} at {t}' for g, t in zip(groups, labels, strict=True))}."
        )
    alone = history.header.scheduler["name"] == "patience"
    reached = [sorted((reach(t, alone=alone) for t in g), reverse=True) for g in compared]
    epochs = min(reaches[FEWEST - 1] for reaches in reached)
    epochs = max(1, int(min(epochs, max(t.step for g in compared for t in g))))
    drawn = [sorted(d for t in g if (d := draw(t, epochs, alone=alone))) for g in groups]
    budget = min(len(found) for found in drawn if len(found) >= FEWEST)
    values = tuple(
        _isolated(history, label, float(place), found, budget)
        for label, place, found in zip(labels, (edges[1:] + edges[:-1]) / 2, drawn, strict=True)
    )
    words = _words(history, roles, values, drawn, budget, epochs)
    metric = history.objective.metric
    return Isolation(roles, metric, budget, epochs, tuple(values), words)


def _roles(columns: Columns, scientific: str, nuisance: Sequence[str] | None) -> Roles:
    names = columns.names
    asked = names[column_of(columns, scientific)]
    if isinstance(nuisance, str):
        nuisance = [nuisance]
    if nuisance is None:
        tuned = {name for name in names if name != asked}
    else:
        tuned = {names[column_of(columns, name)] for name in nuisance}
    if asked in tuned:
        raise StudyError(f"{asked!r} cannot be both the scientific hyperparameter and a nuisance.")
    fixed = tuple(n for n in names if n != asked and n not in tuned)
    return Roles(asked, tuple(n for n in names if n in tuned), fixed)


def _cut(columns: Columns, column: int, bins: int) -> tuple[Array, list[str]]:
    """Return the edges of the values or bins in [0, 1], and what they are called."""
    import numpy as np

    from luthier.insight.bins import bins_of

    domain = columns.domains[column]
    values = domain.cardinality
    if columns.options[column] or (values is not None and values <= max(bins, 10)):
        assert values is not None
        edges = bins_of(columns, np.full((1, columns.dimension), 0.5)).edges[column]
        return edges, [str(domain.decode((a + b) / 2)) for a, b in pairwise(edges)]
    edges = np.arange(bins + 1) / bins
    ends = [domain.decode(float(edge)) for edge in edges]
    return edges, [f"{a} … {b}" for a, b in pairwise(told_apart(ends, 2))]


def _held(
    history: History, columns: Columns, roles: Roles, places: Array, bins: int
) -> NDArray[np.bool_]:
    """Return which trials have the fixed hyperparameters as the best trial has them."""
    import numpy as np

    found = np.ones(len(places), dtype=bool)
    if not roles.fixed or history.best is None:
        return found
    for name in roles.fixed:
        column = columns.names.index(name)
        here, at = places[:, column], places[history.best.number, column]
        near = 1e-9 if columns.options[column] else 0.5 / bins
        found &= np.isnan(here) if np.isnan(at) else np.abs(here - at) <= near
    return found


def _groups(
    history: History, places: Array, held: NDArray[np.bool_], edges: Array
) -> list[list[TrialRecord]]:
    """Return the trials that say something, by the value of the scientific hyperparameter."""
    import numpy as np

    groups: list[list[TrialRecord]] = [[] for _ in edges[1:]]
    for trial, place, counts in zip(history.trials, places, held, strict=True):
        if trial.repeats >= 0:  # of a race: only finalists' values have such
            continue
        failed = trial.state is TrialState.FAILED or not math.isfinite(trial.best_loss)
        if counts and (trial.impossible or not failed) and not np.isnan(place):
            groups[int(np.searchsorted(edges[1:-1], place, side="right"))].append(trial)
    return groups


def _isolated(
    history: History, label: str, place: float, found: Sequence[Draw], budget: int
) -> Isolated:
    best = found[0].number if found and math.isfinite(found[0].loss) else -1
    if len(found) < FEWEST:
        return Isolated(label, place, len(found), math.nan, math.nan, math.nan, best)
    losses = [each.loss for each in found]
    weights = resampled_chances(len(losses), budget)
    good, median, bad = (_value(history, quantile(losses, weights, q)) for q in _INTERVAL)
    return Isolated(label, place, len(found), median, min(good, bad), max(good, bad), best)


def _value(history: History, loss: float) -> float:
    """Return a loss as the objective's value, an infinite one too."""
    return -loss if history.objective.direction == "maximize" else loss


def _words(
    history: History,
    roles: Roles,
    values: Sequence[Isolated],
    drawn: Sequence[Sequence[Draw]],
    budget: int,
    epochs: int,
) -> str:
    sign = -1.0 if history.objective.direction == "maximize" else 1.0
    known = [i for i, value in enumerate(values) if not value.too_few]
    known.sort(key=lambda i: (sign * values[i].median, drawn[i][0]))
    first, second = (values[i] for i in known[:2])
    verdict = (
        f"beats {second.label} ({second.median:.4g})"
        if by_chance(drawn[known[0]], drawn[known[1]]) < _SIGNIFICANCE
        else f"is no clear winner over {second.label} ({second.median:.4g})"
    )
    given = f", given {', '.join(roles.fixed)} as in the best trial" if roles.fixed else ""
    return (
        f"{roles.scientific}={first.label} {verdict}: {history.objective.metric} {first.median:.4g} "
        f"({first.low:.4g} to {first.high:.4g}), the best of {budget} trials of {epochs} "
        f"epoch{'s' if epochs > 1 else ''} each{given}."
    )
