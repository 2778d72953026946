"""What guided searchers learn from: the history as arrays over the unit cube, kept up to date.

A trial counts with the best loss it has reported. Where trials were trained for different numbers of
epochs, those that ended early are carried to the common budget by the median progress of the trials
that went on: what stopped early is neither forgotten nor taken for as bad as it looked.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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

_DONORS = 50  # trials that show how much further training brings
_FEWEST = 3  # trials that make a budget common
_LEVEL = 4  # and that make it worth a surrogate of its own


@dataclass(frozen=True)
class Level:
    """What is known at one budget: the *losses* (m,) by *step* of the trials *rows* (m,) that got there."""

    step: int
    rows: NDArray[np.intp]
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
        carried: whether trials were trained for different numbers of epochs, so that every report may
            change what all losses are at the common budget.
        infeasible: (m, d) trials that diverged or ran out of memory.
        infeasible_numbers: (m,) theirs.
        pending: (p, d) trials that are queued or running.
        seconds: (n,) training time of each.
    """

    names: tuple[str, ...]
    options: tuple[int, ...]
    numbers: NDArray[np.intp]
    points: Array
    losses: Array
    infeasible: Array
    infeasible_numbers: NDArray[np.intp]
    pending: Array
    seconds: Array
    outcomes: Array
    excesses: Array
    carried: bool = False
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
    budget: int = 0
    mixed: bool = False  # whether trials were trained for different numbers of epochs
    last: Observations | None = None

    def __post_init__(self) -> None:
        import numpy as np

        self.names = tuple(self.space.searched)
        domains = [self.space.domains[name] for name in self.names]
        self.options = tuple(
            d.cardinality or 0 if isinstance(d, Choice | Bool) else 0 for d in domains
        )
        self.points: Array = np.empty((64, len(self.names)))
        self.losses: Array = np.full(64, np.nan)
        self.seconds: Array = np.zeros(64)
        self.others: Array = np.full((64, len(self.goals.objectives) - 1), np.nan)
        self.excesses: Array = np.full((64, len(self.goals.constraints)), np.nan)
        self.kinds: NDArray[np.int8] = np.zeros(64, np.int8)

    def brought_up_to_date(self, history: History) -> Observations:
        """Take in what happened since the last call."""
        if self.last is not None and self.cursor == history.cursor:
            return self.last
        trials = history.trials
        self._make_room(len(trials))
        self.count = len(trials)
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
            self.points = np.pad(self.points, ((0, more), (0, 0)))
            self.losses = np.pad(self.losses, (0, more))
            self.seconds = np.pad(self.seconds, (0, more))
            self.kinds = np.pad(self.kinds, (0, more))
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
        state = trial.state
        if trial.repeats >= 0:  # a race's: the search is told of each configuration once
            kind = _NOTHING
        elif state in (TrialState.QUEUED, TrialState.RUNNING):
            kind = _PENDING
        elif trial.impossible:
            kind = _INFEASIBLE
        elif state is TrialState.FAILED or not all(map(math.isfinite, self.goals.losses(trial))):
            kind = _NOTHING
        else:
            kind = _KNOWN
            self.losses[number] = trial.best_loss
            if self.others.shape[1]:
                self.others[number] = self.goals.losses(trial)[1:]
            if self.excesses.shape[1]:
                self.excesses[number] = self.goals.excesses(trial)
            self.seconds[number] = sum(trial.seconds)
            if trial.step != self.budget:
                self.mixed = self.mixed or self.budget > 0
                self.budget = max(self.budget, trial.step)
        self.kinds[number] = kind

    def _selected(self, history: History) -> Observations:
        import numpy as np

        kinds, points = self.kinds[: self.count], self.points[: self.count]
        known = kinds == _KNOWN
        losses = self.losses[: self.count][known].copy()
        levels: tuple[Level, ...] = ()
        if self.mixed:
            trials = [history.trials[int(number)] for number in known.nonzero()[0]]
            losses += _progress(trials)
            levels = _levels(trials)
        outcomes = np.column_stack([losses, self.others[: self.count][known]])
        excesses = self.excesses[: self.count][known]
        return Observations(
            self.names,
            self.options,
            np.flatnonzero(known),
            points[known],
            ordered(outcomes, excesses),
            points[kinds == _INFEASIBLE],
            np.flatnonzero(kinds == _INFEASIBLE),
            points[kinds == _PENDING],
            self.seconds[: self.count][known],
            outcomes,
            excesses,
            self.mixed,
            levels,
        )


_NOTHING, _KNOWN, _INFEASIBLE, _PENDING, _OUTSIDE = range(5)


def placed(space: Space, configuration: dict[str, Any]) -> list[float] | None:
    """Return where *configuration* lies in the unit cube, None when the space does not hold it.

    A hyperparameter that it lacks though it would be active (added to the space later) is at its
    default.
    """
    point: list[float] = []
    full: dict[str, Any] = {}
    for key, domain in space.domains.items():
        active = space.is_active(key, full)
        if isinstance(domain, Constant):
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


def _progress(trials: list[TrialRecord]) -> Array:
    """Return what to add to each trial's best loss to carry it to the common budget."""
    import numpy as np

    steps = np.array([trial.step for trial in trials])
    ordered = np.sort(steps)[::-1]
    budget = int(ordered[min(_FEWEST, len(ordered)) - 1]) if len(ordered) else 0
    donors = [trial for trial in reversed(trials) if trial.step >= budget][:_DONORS]
    added = np.zeros(len(trials))
    for step in np.unique(steps[steps < budget]):
        gains = [_best_by(donor, budget) - _best_by(donor, int(step)) for donor in donors]
        finite = [gain for gain in gains if math.isfinite(gain)]
        added[steps == step] = float(np.median(finite)) if finite else 0.0
    return added


def _levels(trials: list[TrialRecord]) -> tuple[Level, ...]:
    """Return the budgets that trials were trained to, each with half as many trials as the one below."""
    import numpy as np

    steps = np.array([trial.step for trial in trials])
    found: list[Level] = []
    fewer = math.inf
    for step in np.unique(steps):
        rows = np.flatnonzero(steps >= step)
        if len(rows) < _LEVEL:
            break
        if len(rows) <= fewer:
            losses = np.array([_best_by(trials[row], int(step)) for row in rows])
            sound = np.isfinite(losses)
            found.append(Level(int(step), rows[sound], losses[sound]))
            fewer = len(rows) / 2
    return tuple(found)


def _best_by(trial: TrialRecord, step: int) -> float:
    return min(
        (loss for at, loss in zip(trial.steps, trial.losses, strict=True) if at <= step),
        default=math.inf,
    )
