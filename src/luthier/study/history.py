"""What is known about a study: the fold of its events, kept up to date from a cursor.

``History`` decides nothing. Searchers and schedulers read it; only ``apply`` changes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from luthier.errors import StorageError
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.objective import Objective


class TrialState(StrEnum):
    """Where a trial stands."""

    QUEUED = "queued"  # has a job that nobody holds
    RUNNING = "running"
    PAUSED = "paused"  # at the end of a rung, waits for the scheduler
    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """True when the trial will never train again."""
        return self in _ENDED


_ENDED = {TrialState.COMPLETED, TrialState.STOPPED, TrialState.DIVERGED, TrialState.FAILED}


@dataclass(slots=True, eq=False)
class TrialRecord:
    """One trial as the log tells it.

    ``steps``, ``losses`` and ``metrics`` run in parallel: one entry a report. ``losses`` holds the
    objective as something to minimise, infinite where it was not finite.
    """

    number: int
    configuration: dict[str, Any]
    bracket: int
    state: TrialState
    proposed_at: float
    steps: list[int] = field(default_factory=list[int])
    losses: list[float] = field(default_factory=list[float])
    metrics: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    seconds: list[float] = field(default_factory=list[float])
    loss_sums: list[float] = field(default_factory=list[float])  # running, for averages
    lease: int = 0
    holder: ev.Holder | None = None
    to_step: int | None = None
    checkpoint: int = 0  # the newest step that is on disk
    worker_losses: int = 0  # times in a row that its worker died without finishing an epoch
    best_loss: float = math.inf
    best_step: int = 0
    last_sign: float = 0.0
    ended_at: float | None = None
    why: str = ""
    kind: str = ""
    traceback: str = ""

    @property
    def step(self) -> int:
        """Return the last reported step, 0 before the first report."""
        return self.steps[-1] if self.steps else 0

    def loss_at(self, step: int) -> float:
        """Return the loss reported at *step*; infinite when diverged, failed or not reported."""
        if self.state in (TrialState.DIVERGED, TrialState.FAILED):
            return math.inf
        for reported, loss in zip(reversed(self.steps), reversed(self.losses), strict=True):
            if reported <= step:
                return loss if reported == step or self.state.ended else math.inf
        return math.inf

    def curve(self, metric: str) -> list[float]:
        """Return one metric over the reports, NaN where a report did not have it."""
        return [values.get(metric, math.nan) for values in self.metrics]

    def forget_after(self, step: int) -> None:
        """Drop what was reported after *step*: it is trained again from the checkpoint there."""
        while self.steps and self.steps[-1] > step:
            for column in (self.steps, self.losses, self.metrics, self.seconds, self.loss_sums):
                column.pop()
        self.best_loss, self.best_step = math.inf, 0
        for reported, loss in zip(self.steps, self.losses, strict=True):
            if loss < self.best_loss:
                self.best_loss, self.best_step = loss, reported


class History:
    """The fold of a study's log.

    Attributes:
        cursor: number of the last event folded in.
        trials: every trial, at the index of its number.
        space: the search space as it stands now.
        epochs: steps trained by all trials together, those trained again after a crash included.
        late_reports: reports by workers that had lost their lease: kept in the log, used nowhere.
    """

    def __init__(self) -> None:
        self.cursor = 0
        self.created: ev.StudyCreated | None = None
        self._objective: Objective | None = None
        self.space = Space()
        self.trials: list[TrialRecord] = []
        self.queue: list[dict[str, Any]] = []
        self.brackets: dict[int, list[TrialRecord]] = {}
        self.active: dict[int, TrialRecord] = {}  # queued or running
        self.paused: dict[int, TrialRecord] = {}
        self.best: TrialRecord | None = None
        self.epochs = 0
        self.late_reports = 0
        self.last_lease = 0
        self.last_time = 0.0

    @property
    def objective(self) -> Objective:
        """Return what the study is judged by."""
        if self._objective is None:
            header = self.header
            self._objective = Objective(header.metric, header.direction)  # type: ignore[arg-type]
        return self._objective

    @property
    def header(self) -> ev.StudyCreated:
        """Return the study's first event.

        Raises:
            StorageError: when the log does not begin with one.
        """
        if self.created is None:
            raise StorageError("The study's log is empty: it was never created.")
        return self.created

    def value(self, loss: float) -> float:
        """Return a loss as the objective's value, the way the user reported it."""
        return -loss if self.objective.direction == "maximize" and math.isfinite(loss) else loss

    def counts(self) -> dict[TrialState, int]:
        """Return how many trials are in each state, states without any left out."""
        found: dict[TrialState, int] = {}
        for trial in self.trials:
            found[trial.state] = found.get(trial.state, 0) + 1
        return found

    def ranking(self) -> list[TrialRecord]:
        """Return the trials that have a finite value and did not diverge or fail, best first."""
        scored = [t for t in self.trials if self._counts(t)]
        return sorted(scored, key=lambda t: (t.best_loss, t.number))

    def apply(self, number: int, event: ev.AnyEvent) -> None:
        """Fold the next event in.

        Raises:
            StorageError: when events are missing or out of order.
        """
        if number != self.cursor + 1:
            raise StorageError(f"Event {self.cursor + 1} is missing from the log: got {number}.")
        self.cursor = number
        self.last_time = event.time
        getattr(self, _FOLD[type(event)])(event)

    # -- one method an event ---------------------------------------------------------------------

    def _created(self, event: ev.StudyCreated) -> None:
        if event.format > ev.FORMAT:
            raise StorageError(
                f"Study {event.name!r} was written by luthier {event.luthier} in log format "
                f"{event.format}; this one reads up to {ev.FORMAT}. Upgrade luthier."
            )
        self.created = event
        self.space = Space.from_dict(event.space)

    def _grown(self, event: ev.SpaceGrown) -> None:
        self.space = Space.from_dict(event.space)

    def _enqueued(self, event: ev.Enqueued) -> None:
        self.queue.append(_thawed(event.configuration))

    def _proposed(self, event: ev.TrialProposed) -> None:
        trial = TrialRecord(
            event.trial,
            _thawed(event.configuration),
            event.bracket,
            TrialState.QUEUED,
            event.time,
        )
        if event.enqueued:
            self.queue.pop(0)
        self.trials.append(trial)
        self.brackets.setdefault(event.bracket, []).append(trial)
        self.active[trial.number] = trial

    def _settled(self, event: ev.ConfigurationSettled) -> None:
        trial = self.trials[event.trial]
        if trial.lease == event.lease:
            trial.configuration = _thawed(event.configuration)

    def _leased(self, event: ev.JobLeased) -> None:
        trial = self.trials[event.trial]
        trial.forget_after(event.from_step)
        self._refresh_best(trial)
        trial.lease = self.last_lease = event.lease
        trial.holder = event.holder
        trial.to_step = event.to_step
        trial.last_sign = event.time
        self._move(trial, TrialState.RUNNING)

    def _released(self, event: ev.JobReleased) -> None:
        if trial := self._held(event.trial, event.lease):
            self._move(trial, TrialState.QUEUED)

    def _lost(self, event: ev.WorkerLost) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.worker_losses += 1
            self._move(trial, TrialState.QUEUED)

    def _reported(self, event: ev.Reported) -> None:
        trial = self._held(event.trial, event.lease)
        if trial is None:
            self.late_reports += 1
            return
        loss = self.objective.loss(event.metrics.get(self.header.metric, math.nan))
        self.epochs += event.step - trial.step
        trial.steps.append(event.step)
        trial.losses.append(loss)
        trial.loss_sums.append(loss + (trial.loss_sums[-1] if trial.loss_sums else 0.0))
        trial.metrics.append(event.metrics)
        trial.seconds.append(event.seconds)
        trial.last_sign = event.time
        trial.worker_losses = 0
        if loss < trial.best_loss:
            trial.best_loss, trial.best_step = loss, event.step
            if self.best is None or loss < self.best.best_loss:
                self.best = trial

    def _checkpointed(self, event: ev.CheckpointWritten) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.checkpoint = event.step

    def _paused(self, event: ev.TrialPaused) -> None:
        if trial := self._held(event.trial, event.lease):
            self._move(trial, TrialState.PAUSED)

    def _completed(self, event: ev.TrialCompleted) -> None:
        if trial := self._held(event.trial, event.lease):
            self._end(trial, TrialState.COMPLETED, event.time)

    def _stopped(self, event: ev.TrialStopped) -> None:
        trial = self.trials[event.trial]
        if event.lease in (0, trial.lease) and not trial.state.ended:
            trial.why = event.reason
            self._end(trial, TrialState.STOPPED, event.time)

    def _diverged(self, event: ev.TrialDiverged) -> None:
        if trial := self._held(event.trial, event.lease):
            trial.why = f"{event.metric} was not finite at step {event.step}"
            self._end(trial, TrialState.DIVERGED, event.time)

    def _failed(self, event: ev.TrialFailed) -> None:
        trial = self.trials[event.trial]
        if event.lease in (0, trial.lease) and not trial.state.ended:
            trial.why, trial.kind, trial.traceback = event.message, event.kind, event.traceback
            self._end(trial, TrialState.FAILED, event.time)

    def _requeued(self, event: ev.TrialRequeued) -> None:
        trial = self.trials[event.trial]
        trial.why, trial.kind, trial.traceback, trial.ended_at = "", "", "", None
        self._move(trial, TrialState.QUEUED)

    # -- parts -----------------------------------------------------------------------------------

    def _held(self, number: int, lease: int) -> TrialRecord | None:
        """Return the trial if *lease* still holds it: this is what fences a late worker off."""
        trial = self.trials[number]
        return trial if trial.lease == lease and trial.state is TrialState.RUNNING else None

    def _move(self, trial: TrialRecord, state: TrialState) -> None:
        trial.state = state
        self.active.pop(trial.number, None)
        self.paused.pop(trial.number, None)
        if state in (TrialState.QUEUED, TrialState.RUNNING):
            self.active[trial.number] = trial
        elif state is TrialState.PAUSED:
            self.paused[trial.number] = trial
        if state is not TrialState.RUNNING:
            trial.holder = None

    def _end(self, trial: TrialRecord, state: TrialState, time: float) -> None:
        self._move(trial, state)
        trial.ended_at = time
        self._refresh_best(trial)

    def _counts(self, trial: TrialRecord) -> bool:
        spoilt = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
        return not spoilt and math.isfinite(trial.best_loss)

    def _refresh_best(self, trial: TrialRecord) -> None:
        if self.best is trial and not (self._counts(trial) and trial.state.ended):
            ranking = self.ranking()
            self.best = ranking[0] if ranking else None


def _thawed(configuration: dict[str, Any]) -> dict[str, Any]:
    """MessagePack has no tuples; a choice among tuples must get them back."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in configuration.items()}


_FOLD = {
    ev.StudyCreated: "_created",
    ev.SpaceGrown: "_grown",
    ev.Enqueued: "_enqueued",
    ev.TrialProposed: "_proposed",
    ev.ConfigurationSettled: "_settled",
    ev.JobLeased: "_leased",
    ev.JobReleased: "_released",
    ev.WorkerLost: "_lost",
    ev.Reported: "_reported",
    ev.CheckpointWritten: "_checkpointed",
    ev.TrialPaused: "_paused",
    ev.TrialCompleted: "_completed",
    ev.TrialStopped: "_stopped",
    ev.TrialDiverged: "_diverged",
    ev.TrialFailed: "_failed",
    ev.TrialRequeued: "_requeued",
}


def fold(log: Iterator[tuple[int, ev.AnyEvent]]) -> History:
    """Return the history that a whole log tells."""
    history = History()
    for number, event in log:
        history.apply(number, event)
    return history
