"""One trial as the log tells it, its reports in compact columns."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import accumulate
from typing import Any, Protocol

from luthier.study import events as ev


class TrialState(StrEnum):
    """Where a trial stands.

    Attributes:
        ended: the trial will never train again.
    """

    ended: bool

    QUEUED = "queued"  # has a job that nobody holds
    RUNNING = "running"
    PAUSED = "paused"  # at the end of a rung, waits for the scheduler
    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"


for _state in TrialState:  # a plain attribute: every event asks for it
    _state.ended = _state in (
        *(TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED),
    )


class Packed(Protocol):
    """Reports of many trials in common columns, of which a trial takes its own when asked."""

    def unpack(self, trial: TrialRecord) -> None:
        """Fill the trial's own columns."""
        ...


_counts: Callable[[], dict[str, int]] = dict
_floats: Callable[[], array[float]] = partial(array, "d")


@dataclass(slots=True, eq=False, repr=False)
class TrialRecord:
    """One trial as the log tells it.

    ``steps``, ``losses`` and ``seconds`` run in parallel: one entry a report. ``losses`` holds the
    objective as something to minimise, infinite where it was not finite. ``metrics`` gives what was
    reported, by name. ``step`` is the last reported step; before the first report where it began, usually 0.
    A trial with a *parent* (-1: none) went on from its checkpoint after *start* steps.
    *rewound* is how often reports were dropped since this process knows the trial: what was derived from them
    no longer holds.
    One that *repeats* another (-1: none) has its configuration and a seed of its own; it is no candidate
    of the search. *stage* is the one that it is a trial of; -1 without stages, and when it was enqueued.
    """

    number: int
    configuration: dict[str, Any]
    bracket: int
    state: TrialState
    proposed_at: float
    parent: int = -1
    start: int = 0
    repeats: int = -1
    stage: int = -1
    step: int = 0
    furthest: int = 0  # step it ever reported, before it was trained again from a checkpoint
    rewound: int = 0
    lease: int = 0
    holder: ev.Holder | None = None
    term: float = 0.0  # seconds of silence after which the lease is lost; 0: only with its process
    to_step: int | None = None
    checkpoint: int = 0  # the newest step that is on disk
    best_checkpoint: int = (
        0  # of all steps with a checkpoint the best one, whose checkpoint is kept
    )
    retries: dict[str, int] = field(default_factory=_counts)  # by cause, over its whole life
    fruitless: dict[str, int] = field(default_factory=_counts)  # since its last report
    best_loss: float = math.inf
    best_step: int = 0
    violation: float = 0.0  # of the constraints on outcomes, at the best step
    last_sign: float = 0.0
    ended_at: float | None = None
    why: str = ""
    kind: str = ""
    traceback: str = ""
    # Reports nobody has looked at, as they came: step, loss, seconds, and the values of ``names_of_rows``.
    # None once they are in the columns below, or in those of a snapshot.
    rows: array[float] | None = field(default_factory=_floats)
    names_of_rows: tuple[str, ...] = ()
    packed: tuple[Packed, int] | None = None
    steps: array[int] = field(init=False)
    losses: array[float] = field(init=False)
    seconds: array[float] = field(init=False)
    loss_sums: array[float] = field(init=False)  # running, for averages
    names: list[tuple[str, ...]] = field(init=False)
    values: array[float] = field(init=False)  # those of all reports, one after another

    def __getattr__(self, name: str) -> Any:
        """Put the reports into columns when somebody first looks at them."""
        if name not in _COLUMNS:
            raise AttributeError(name)
        if self.packed is not None:
            self.packed[0].unpack(self)
        else:
            self._into_columns()
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"<trial {self.number}: {self.state}, epoch {self.step}, {self.configuration}>"

    def _repr_html_(self) -> str:
        from luthier.study.notebook import trial_html

        said = f"{self.state}, epoch {self.step}{': ' if self.why else ''}{self.why}"
        return trial_html(self.number, said, self.configuration)

    @property
    def impossible(self) -> bool:
        """Return whether it cannot be trained: it diverged, ran out of memory, or was given up.

        That is by hand, by the training code (``Infeasible``), or by who caught its error.
        """
        return self.state is TrialState.DIVERGED or self.kind in (
            "out of memory", "pruned", "failed"
        )  # fmt: skip

    @property
    def resumable(self) -> bool:
        """Return whether it failed by a bug, or with its workers: a later start goes on with it."""
        return self.state is TrialState.FAILED and not self.impossible

    @property
    def reported(self) -> bool:
        """Return whether it has any report; to look at ``steps`` for that would put them into columns."""
        return self.step > self.start

    @property
    def metrics(self) -> list[dict[str, float]]:
        """Return what was reported: a dictionary for each of ``steps``."""
        values = iter(self.values)
        return [{name: next(values) for name in names} for names in self.names]

    def curve(self, metric: str) -> list[float]:
        """Return one metric over the reports, NaN where a report did not have it."""
        found: list[float] = []
        start = 0
        for names in self.names:
            at = names.index(metric) if metric in names else -1
            found.append(self.values[start + at] if at >= 0 else math.nan)
            start += len(names)
        return found

    def loss_at(self, step: int) -> float:
        """Return the loss reported at *step*; infinite when diverged, failed or not reported."""
        if self.state in (TrialState.DIVERGED, TrialState.FAILED):
            return math.inf
        at = bisect_right(self.steps, step) - 1
        if at < 0:
            return math.inf
        return self.losses[at] if self.steps[at] == step or self.state.ended else math.inf

    def add(self, step: int, loss: float, metrics: Mapping[str, float], seconds: float) -> None:
        """Take in a report."""
        self.step = step
        rows = self.rows
        if rows is not None:
            names = tuple(metrics)
            if names != self.names_of_rows and not rows:
                self.names_of_rows = _names.setdefault(names, names)
            if names == self.names_of_rows and step < _EXACT:
                rows.extend((step, loss, seconds, *metrics.values()))
                return
        sums = self.loss_sums
        self.steps.append(step)
        self.losses.append(loss)
        self.seconds.append(seconds)
        sums.append(loss + sums[-1] if sums else loss)
        names = tuple(metrics)
        self.names.append(_names.setdefault(names, names))
        self.values.extend(metrics.values())

    def saved(self, step: int) -> None:
        """Take in that a checkpoint was written after *step*, which was reported."""
        self.checkpoint = step
        kept, best = self.best_checkpoint, self.best_step
        better = step == best or not kept  # mostly known without a look at the reports
        if better or (kept != best and self.loss_at(step) < self.loss_at(kept)):
            self.best_checkpoint = step

    def _into_columns(self) -> None:
        rows, width = self.rows, 3 + len(self.names_of_rows)
        if rows is None:
            return  # another thread was faster
        taken = rows[:]
        values = taken[:]
        for left in (width, width - 1, width - 2):
            del values[::left]
        names = [self.names_of_rows] * (len(taken) // width)
        steps = array("q", map(int, taken[::width]))
        self.fill(steps, taken[1::width], taken[2::width], names, values)
        for at in range(len(taken), len(rows), width):  # what another thread added meanwhile
            step, loss, seconds, *reported = rows[at : at + width]
            named = dict(zip(self.names_of_rows, reported, strict=True))
            self.add(int(step), loss, named, seconds)

    def fill(
        self,
        steps: array[int],
        losses: array[float],
        seconds: array[float],
        names: Sequence[tuple[str, ...]],
        values: array[float],
    ) -> None:
        """Put whole columns in place."""
        self.steps, self.losses, self.seconds = steps, losses, seconds
        self.names, self.values = list(names), values
        self.loss_sums = array("d", accumulate(losses))
        self.packed = self.rows = None

    def forget_after(self, step: int) -> None:
        """Drop what was reported after *step*: it is trained again from the checkpoint there."""
        if step >= self.step:
            return
        self.rewound += 1
        kept = bisect_right(self.steps, step)
        for column in (self.steps, self.losses, self.seconds, self.loss_sums):
            del column[kept:]
        del self.names[kept:]
        del self.values[sum(map(len, self.names)) :]
        self.step = self.steps[-1] if kept else self.start
        if self.best_checkpoint > step:  # the checkpoint that it goes on from is the one there is
            self.best_checkpoint = step if self.step == step > self.start else 0
        self.best_loss, self.best_step = math.inf, 0
        for reported, loss in zip(self.steps, self.losses, strict=True):
            if loss < self.best_loss:
                self.best_loss, self.best_step = loss, reported


@dataclass(slots=True, eq=False)
class StageRecord:
    """One stage of a study as the log tells it.

    *first* is the number of its first trial, *trials* how many were proposed in it so far, without enqueued
    ones.
    """

    begun: ev.StageBegun
    first: int
    trials: int = 0
    concluded: ev.StageConcluded | None = None

    @property
    def name(self) -> str:
        """Return what the stage is called."""
        return self.begun.name

    @property
    def hyperparameters(self) -> list[str]:
        """Return what the stage is about."""
        return self.begun.hyperparameters

    @property
    def conclusion(self) -> str:
        """Return what was learned, in words; '' while it goes on."""
        return self.concluded.words if self.concluded is not None else ""


@dataclass(slots=True, eq=False)
class SpaceRecord:
    """A change of the space, and the number of trials that had been begun before it.

    *wider*: the space has something that it did not have just before, see ``holds_all``.
    """

    change: ev.SpaceChanged
    first: int
    wider: bool


_COLUMNS = {"steps", "losses", "seconds", "loss_sums", "names", "values"}
_EXACT = 2**53  # below it a float holds every whole number
_names: dict[
    tuple[str, ...], tuple[str, ...]
] = {}  # one tuple for all reports that have the same ones
