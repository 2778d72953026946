"""What guided searchers learn from: the history as arrays over the unit cube, kept up to date.

A trial counts with the best loss it has reported. Where a scheduler ends or pauses trials early, those are
carried to the common budget by the median progress of the trials that went on: what stopped early is
neither forgotten nor taken for as bad as it looked. So are those under way, of which the best are promoted
ones. One whose training ended by itself has had all that it will get, however short it was.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from luthier.errors import SpaceError
from luthier.search.order import ordered
from luthier.space import Bool, Choice, Constant, Space
from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Numbers = NDArray[np.intp]
    _BestBy = Callable[[Numbers, int], Array]  # of trials by their numbers, at a step

_DONORS = 50  # trials that show how much further training brings
_FEWEST = 3  # trials that make a budget common
_LEVEL = 4  # and that make it worth a surrogate of its own
_TO_THE_END = "none"  # the scheduler that ends no trial early


@dataclass(frozen=True)
class Level:
    """What is known of the first objective at one budget.

    Attributes:
        step: the budget.
        numbers: (m,) of the trials that got there.
        points: (m, d) their places.
        losses: (m,) the best loss of each by *step*.
    """

    step: int
    numbers: Numbers
    points: Array
    losses: Array


@dataclass(frozen=True)
class Observations:
    """The trials of a study as a searcher sees them, in the order of their numbers.

    Attributes:
        names: the hyperparameters that are searched, one a column.
        options: for each column the number of a choice's options, 0 for what has an order.
        numbers: (n,) of the trials with a finite loss.
        points: (n, d) places in the unit cube of the trials with a finite loss; NaN where inactive.
        losses: (n,) the objective as something to minimise, at the common budget. With several
            objectives or constraints on outcomes: an order of the trials, see ``order.py``.
        outcomes: (n, k) each objective as something to minimise, the first at the common budget.
        excesses: (n, c) by how much each constraint on outcomes is broken; 0 or less when it is kept.
        carried: whether trials were ended or paused before others, so that every report may change what all
            losses are at the common budget.
        cut_short: whether it was a scheduler that did so, and goes on doing it. Trials under way that have
            reported are then among those with a loss.
        infeasible: (m, d) trials that diverged or ran out of memory, that lost or hung their workers again
            and again, or that ended without a finite value of every objective.
        infeasible_numbers: (m,) theirs.
        pending: (p, d) trials that are queued or running, and of which nothing else is known.
        partial: (q, d) trials whose other objectives were not measured yet: of the first one *levels* tell.
        failed: (f, d) trials of which nothing is known but that they were tried: that failed by a bug, or
            ended early without a report.
        seconds: (n,) training time of each; of those that a scheduler ended, that of all epochs.
    """

    names: tuple[str, ...]
    options: tuple[int, ...]
    numbers: Numbers
    points: Array
    losses: Array
    infeasible: Array
    infeasible_numbers: Numbers
    pending: Array
    partial: Array
    failed: Array
    seconds: Array
    outcomes: Array
    excesses: Array
    carried: bool = False
    cut_short: bool = False
    levels: tuple[Level, ...] = ()

    @property
    def dimension(self) -> int:
        """Return the number of columns."""
        return len(self.names)


def observe(history: History, space: Space) -> Observations:
    """Return what is known about *space* from *history*.

    Trials that the space does not hold (it was narrowed since) are left out; those from before a
    hyperparameter was added have its default.
    """
    return _columns(history, space).brought_up_to_date(history)


def places_of(history: History, space: Space) -> Array:
    """Return where every trial lies in the unit cube, by number (n, d).

    NaN where a hyperparameter is inactive; a whole row of it for a trial that *space* does not hold.
    """
    columns = _columns(history, space)
    columns.brought_up_to_date(history)
    return columns.points[: columns.count]


def _columns(history: History, space: Space) -> _Columns:
    columns = _kept.get(history)
    if columns is None or columns.space is not space:
        columns = _kept[history] = _Columns(space, history.goals)
    return columns


_kept: weakref.WeakKeyDictionary[History, _Columns] = weakref.WeakKeyDictionary()


@dataclass(eq=False)
class _Columns:
    """Arrays over all trials by number, from which ``Observations`` are selected."""

    space: Space
    goals: Goals
    places: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    count: int = 0
    touched: int = 0
    cursor: int = -1
    last: Observations | None = None

    def __post_init__(self) -> None:
        import numpy as np

        self.names = tuple(self.space.searched)
        domains = [self.space.domains[name] for name in self.names]
        self.options = tuple(
            d.cardinality or 0 if isinstance(d, Choice | Bool) else 0 for d in domains
        )
        self.points: Array = np.full((64, len(self.names)), np.nan)
        self.losses: Array = np.full(64, np.nan)
        self.others: Array = np.full((64, len(self.goals.objectives) - 1), np.nan)
        self.excesses: Array = np.full((64, len(self.goals.constraints)), np.nan)
        self.kinds: NDArray[np.int8] = np.zeros(64, np.int8)
        self.steps: Numbers = np.zeros(64, np.intp)
        self.whole: Flags = np.zeros(64, dtype=bool)  # their training ended by itself
        self.durations: Array = np.zeros((64, 3))  # see ``_duration``
        self.curves: dict[int, _Curve] = {}
        # By rung and trial the best loss until then; NaN where it has not been looked up since a report.
        self.best_by: dict[int, Array] = {}

    def brought_up_to_date(self, history: History) -> Observations:
        """Take in what happened since the last call."""
        if self.last is not None and self.cursor == history.cursor:
            return self.last
        trials = history.trials
        self.count = trials[-1].number + 1 if trials else 0  # a race's trials may be missing
        self._make_room(self.count)
        for number in dict.fromkeys(history.touched[self.touched :]):
            trial = trials[number]
            if self.places.get(number) is not trial.configuration:
                self.places[number] = trial.configuration
                self._place(number, trial.configuration)
            self._take(trial)
            if trial.state.ended and trial.state is not TrialState.FAILED:  # it may be queued again
                self.places.pop(number, None)
        self.touched = len(history.touched)
        self.cursor = history.cursor
        self.last = self._selected(history)
        return self.last

    def _make_room(self, count: int) -> None:
        import numpy as np

        if count > len(self.losses):
            more = max(count, 2 * len(self.losses)) - len(self.losses)
            self.points = np.pad(self.points, ((0, more), (0, 0)), constant_values=math.nan)
            self.losses = np.pad(self.losses, (0, more))
            self.durations = np.pad(self.durations, ((0, more), (0, 0)))
            self.kinds = np.pad(self.kinds, (0, more))
            self.steps = np.pad(self.steps, (0, more))
            self.whole = np.pad(self.whole, (0, more))
            for step, column in self.best_by.items():
                self.best_by[step] = np.pad(column, (0, more), constant_values=math.nan)
            self.others = np.pad(self.others, ((0, more), (0, 0)))
            self.excesses = np.pad(self.excesses, ((0, more), (0, 0)))

    def _place(self, number: int, configuration: dict[str, Any]) -> None:
        place = placed(self.space, configuration)
        self.points[number] = math.nan if place is None else place
        self.kinds[number] = _OUTSIDE if place is None else _NOTHING

    def _take(self, trial: TrialRecord) -> None:
        number = trial.number
        if self.kinds[number] == _OUTSIDE:
            return
        self.kinds[number] = kind = self._kind(trial)
        if kind not in (*_KNOWN_KINDS, *_UNDER_WAY_KINDS):
            return
        self.losses[number] = trial.best_loss
        if self.others.shape[1]:
            self.others[number] = self.goals.losses(trial)[1:]
        if self.excesses.shape[1]:
            self.excesses[number] = self.goals.excesses(trial)
        self.durations[number] = _duration(trial)
        self.steps[number] = trial.step
        self.whole[number] = trial.state is TrialState.COMPLETED
        self.curves.pop(number, None)
        for column in self.best_by.values():
            column[number] = math.nan

    def _kind(self, trial: TrialRecord) -> int:
        state = trial.state
        if trial.repeats >= 0:  # a race's: the search is told of each configuration once
            return _NOTHING
        if trial.impossible or (state is TrialState.FAILED and trial.kind in _BREAKING):
            return _INFEASIBLE
        if state is TrialState.FAILED:
            return _FAILED
        under_way = state in (TrialState.QUEUED, TrialState.RUNNING)
        if not all(map(math.isfinite, self.goals.losses(trial))):
            if state is TrialState.COMPLETED:
                return _INFEASIBLE
            if math.isfinite(trial.best_loss):  # the others may be measured at the end alone
                return _PART_UNDER_WAY if under_way else _PART
            return _PENDING if under_way else _FAILED
        return _UNDER_WAY if under_way else _KNOWN

    def _selected(self, history: History) -> Observations:
        import numpy as np

        kinds, points = self.kinds[: self.count], self.points[: self.count]
        steps, whole = self.steps[: self.count], self.whole[: self.count]
        ended, under_way = np.isin(kinds, _KNOWN_KINDS), np.isin(kinds, _UNDER_WAY_KINDS)
        furthest = int(steps[ended | under_way].max(initial=0))
        carried = bool(np.any(steps[ended & ~whole] < furthest))
        # Where all train to their end, somebody has pruned one by hand, or it comes from elsewhere.
        cut_short = carried and history.header.scheduler["name"] != _TO_THE_END
        known = kinds == _KNOWN
        if cut_short:
            known |= kinds == _UNDER_WAY
        numbers = np.flatnonzero(known)
        losses = self.losses[: self.count].copy()
        levels: tuple[Level, ...] = ()
        if carried:
            valued = np.flatnonzero(ended | (under_way & cut_short))
            curves = partial(self._curve, history.trials)
            losses[valued] += _progress(valued, curves, steps[valued], whole[valued])
            levels = self._levels(history, valued, steps[ended & ~whole], int(steps[ended].max()))
        losses = losses[numbers]
        outcomes = np.column_stack([losses, self.others[numbers]])
        excesses = self.excesses[numbers]
        part = (kinds == _PART) | (kinds == _PART_UNDER_WAY)
        pending = (kinds == _PENDING) | (kinds == _UNDER_WAY)
        return Observations(
            names=self.names,
            options=self.options,
            numbers=numbers,
            points=points[known],
            losses=ordered(outcomes, excesses),
            infeasible=points[kinds == _INFEASIBLE],
            infeasible_numbers=np.flatnonzero(kinds == _INFEASIBLE),
            pending=points[pending & ~known],
            partial=points[part],
            failed=points[kinds == _FAILED],
            seconds=_seconds(self.durations[numbers], steps[known], whole[known]),
            outcomes=outcomes,
            excesses=excesses,
            carried=carried,
            cut_short=cut_short,
            levels=levels,
        )

    def _levels(
        self, history: History, valued: Numbers, stops: Numbers, last: int
    ) -> tuple[Level, ...]:
        """Return what is known at each budget of the trials *valued*: at *stops* and the *last* step."""
        rungs = {*stops.tolist(), last}
        self.best_by = {step: at for step, at in self.best_by.items() if step in rungs}
        by = partial(self._best_by, history.trials)
        found = _budgets(valued, by, self.steps[valued], self.whole[valued], sorted(rungs))
        return tuple(Level(step, at, self.points[at], losses) for step, at, losses in found)

    def _best_by(self, trials: list[TrialRecord], numbers: Numbers, step: int) -> Array:
        """Return the best loss of each of the trials *numbers* (m,) by *step*; infinite without any."""
        import numpy as np

        column = self.best_by.get(step)
        if column is None:
            column = self.best_by[step] = np.full(len(self.losses), math.nan)
        for number in map(int, numbers[np.isnan(column[numbers])]):
            column[number] = self._curve(trials, number).by(np.array([step]))[0]
        return column[numbers]

    def _curve(self, trials: list[TrialRecord], number: int) -> _Curve:
        curve = self.curves.get(number)
        if curve is None:
            curve = self.curves[number] = _Curve.of(trials[number])
        return curve


_NOTHING, _INFEASIBLE, _PENDING, _OUTSIDE, _FAILED, *_VALUED = range(9)
_KNOWN, _UNDER_WAY, _PART, _PART_UNDER_WAY = _VALUED  # the last two in the first objective alone
_KNOWN_KINDS, _UNDER_WAY_KINDS = (_KNOWN, _PART), (_UNDER_WAY, _PART_UNDER_WAY)
_BREAKING = ("lost", "hung")  # what a trial is given up for that took its workers with it each time


class _Curve(NamedTuple):
    """The best loss that a trial had by each of its steps."""

    steps: Numbers
    best: Array

    @classmethod
    def of(cls, trial: TrialRecord) -> _Curve:
        import numpy as np

        return cls(np.array(trial.steps), np.minimum.accumulate(np.array(trial.losses)))

    def by(self, steps: Numbers) -> Array:
        """Return the best loss until each of *steps* (n,); infinite before the first report."""
        import numpy as np

        at = self.steps.searchsorted(steps, "right") - 1
        return np.where(at >= 0, self.best[at], math.inf)


def placed(
    space: Space, configuration: dict[str, Any], *, any_constants: bool = False
) -> list[float] | None:
    """Return where *configuration* lies in the unit cube, None when the space does not hold it.

    A hyperparameter that it lacks though it would be active (added to the space later) is at its
    default. With *any_constants* it may have other values of what the space holds constant.
    """
    point: list[float] = []
    full: dict[str, Any] = {}
    for key, domain in space.domains.items():
        active = space.is_active(key, full)
        if isinstance(domain, Constant):
            known = configuration.get(key, domain.value)
            if active and not any_constants and not domain.contains(known):
                return None
            if active:
                full[key] = domain.value
            continue
        if not active:
            point.append(math.nan)
            continue
        value = configuration.get(key, getattr(domain, "default", None))
        try:
            if not domain.contains(value):
                return None
            point.append(domain.encode(value))
        except SpaceError:
            return None
        full[key] = value
    return point


def _duration(trial: TrialRecord) -> tuple[float, float, float]:
    """Return the seconds until the first report, those after it, and the epochs until the first."""
    if not len(trial.seconds):
        return 0.0, 0.0, 0.0
    first = trial.seconds[0]
    return first, sum(trial.seconds) - first, float(trial.steps[0] - trial.start)


def _seconds(durations: Array, steps: Numbers, whole: Flags) -> Array:
    """Return what each trial took (n,); those that did not end by themselves, what all epochs would take.

    Who is promoted takes longer, which is no reason to avoid where it lies.
    """
    import numpy as np

    first, after, begun = durations.T
    if not len(steps) or whole.all():
        return first + after
    later = np.maximum(steps - begun, 0.0)
    several = later > 0
    epoch = np.where(several, after / np.maximum(later, 1.0), 0.0)
    start = np.maximum(0.0, first - epoch * begun)
    usual, least = (
        (float(np.median(start[several])), 0.1 * float(np.median(epoch[several])))
        if several.any()
        else (0.0, 0.0)
    )
    alone = np.maximum((first - usual) / np.maximum(begun, 1.0), least)
    epoch, start = np.where(several, epoch, alone), np.where(several, start, usual)
    return np.where(whole, first + after, start + epoch * steps.max())


def _progress(
    numbers: Numbers, curves: Callable[[int], _Curve], steps: Numbers, whole: Flags
) -> Array:
    """Return what to add to each trial's best loss to carry it to the common budget."""
    import numpy as np

    ordered = np.sort(steps)[::-1]
    budget = int(ordered[min(_FEWEST, len(ordered)) - 1])
    donors = [curves(int(number)) for number in numbers[steps >= budget][::-1][:_DONORS]]
    added = np.zeros(len(numbers))
    short = (steps < budget) & ~whole
    places, which = np.unique(steps[short], return_inverse=True)
    best = np.array([donor.by(np.append(places, budget)) for donor in donors])
    known = np.isfinite(best)
    gains = np.where(known[:, -1:] & known, best[:, -1:] - np.where(known, best, 0.0), math.inf)
    added[short] = _medians(gains[:, :-1])[which]
    return added


def _medians(gains: Array) -> Array:
    """Return the median of the finite entries of each column (m, n), 0 without any."""
    import numpy as np

    ordered = np.sort(gains, axis=0)  # infinite ones come last
    count = np.isfinite(gains).sum(axis=0)
    columns = np.arange(gains.shape[1])
    middle = (
        ordered[np.maximum(count - 1, 0) // 2, columns]
        + ordered[np.minimum(count // 2, len(gains) - 1), columns]
    )
    return np.where(count > 0, middle / 2, 0.0)


def _budgets(
    numbers: Numbers, best_by: _BestBy, steps: Numbers, whole: Flags, rungs: list[int]
) -> Iterator[tuple[int, Numbers, Array]]:
    """Yield the budgets that trials were trained to, each with half as many trials as the one below.

    With each come the numbers of the trials and their losses. Trials under way count for the *rungs* that they
    have passed, and make none of their own.
    """
    import numpy as np

    fewer = math.inf
    for step in rungs:
        there = numbers[(steps >= step) | whole]
        if len(there) < _LEVEL:
            return
        if len(there) <= fewer:
            losses = best_by(there, step)
            sound = np.isfinite(losses)
            yield step, there[sound], losses[sound]
            fewer = len(there) / 2
