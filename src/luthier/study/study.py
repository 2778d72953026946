"""The one door to a study: ask, tell, report, next_job."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.errors import StudyError
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.history import History, TrialRecord, TrialState
from luthier.study.holder import holder_for, is_gone
from luthier.study.objective import Objective, checked_metrics, diverged_metric
from luthier.study.protocols import (
    Checkpoints,
    Conflict,
    Done,
    Fate,
    Limits,
    Resume,
    Scheduler,
    Searcher,
    Start,
    Store,
    Verdict,
    Wait,
)
from luthier.study.trial import Trial

WORKER_LOSSES_ALLOWED = 3


@dataclass(frozen=True)
class Job:
    """A trial to train from one step to another; what a worker holds by its lease."""

    trial: int
    lease: int
    configuration: Mapping[str, Any]
    from_step: int
    to_step: int | None


class Study:
    """A search for a good configuration, backed by its log.

    Made by ``luthier.study(...)``; several processes may open the same one and work side by side.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        searcher: Searcher,
        scheduler: Scheduler,
        checkpoints: Checkpoints,
        limits: Limits | None = None,
        deadline: float | None = None,
    ) -> None:
        self.name = name
        self.searcher = searcher
        self.scheduler = scheduler
        self.checkpoints = checkpoints
        self.deadline = deadline  # on time.monotonic()'s clock
        self._store = store
        self._holder = holder_for(self)
        self.history = History()
        self.refresh()
        self.limits = self._within_the_space(limits or Limits())

    # -- reading ---------------------------------------------------------------------------------

    @property
    def seed(self) -> int:
        """Return the seed that every draw of the study derives from."""
        return self.history.header.seed

    @property
    def objective(self) -> Objective:
        """Return the metric that the study is judged by, and its direction."""
        return self.history.objective

    @property
    def space(self) -> Space:
        """Return the search space as it stands now."""
        return self.history.space

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """Return every trial, at the index of its number."""
        return self.refresh().trials

    @property
    def best(self) -> TrialRecord:
        """Return the trial with the best objective at any of its steps.

        Raises:
            StudyError: when no trial has reported a finite value yet.
        """
        best = self.refresh().best
        if best is None:
            raise StudyError(
                f"Study {self.name!r} has no trial with a finite {self.objective} yet."
            )
        return best

    @property
    def best_value(self) -> float:
        """Return the best value of the objective, as it was reported."""
        return self.history.value(self.best.best_loss)

    def refresh(self) -> History:
        """Fold in what other processes have appended, and return the history."""
        for number, body in self._store.read(self.name, self.history.cursor):
            self.history.apply(number, ev.decode(body))
        return self.history

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    # -- jobs ------------------------------------------------------------------------------------

    def next_job(self) -> Job | Wait | Done:
        """Return what this process should train next, leased to it.

        First the trials whose worker vanished or gave them back, from their newest checkpoints; then
        what the scheduler says.
        """
        while True:
            self.refresh()
            choice = self._choose()
            if isinstance(choice, Wait | Done):
                return choice
            events, job = choice
            try:
                self._append(events, expect=self.history.cursor)
            except Conflict:
                continue
            if job is not None and not self._already_over(job):
                return job

    def _already_over(self, job: Job) -> bool:
        """Conclude a job whose last epoch a vanished worker had trained; True when it was one."""
        record = self.history.trials[job.trial]
        if not record.steps or record.step < (job.to_step or record.step + 1):
            return False
        verdict = self.scheduler.judge(self.history, record)
        self._append(self._ending(job.trial, job.lease, record.step, verdict))
        return verdict.fate is not Fate.GO_ON

    def _choose(self) -> Wait | Done | tuple[list[ev.AnyEvent], Job | None]:
        history = self.history
        drops = self.scheduler.dropped(history, self.limits)
        if drops:
            now = time.time()
            return [
                ev.TrialStopped(time=now, trial=t, step=history.trials[t].step, reason=why)
                for t, why in drops
            ], None
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return Done("the time is up")
        if (trial := self._orphan()) is not None:
            return self._take_over(trial)
        move = self.scheduler.next(history, self.limits)
        if isinstance(move, Start):
            return self._start(move)
        if isinstance(move, Resume):
            return self._lease(history.trials[move.trial], move.to_step)
        return move

    def _orphan(self) -> TrialRecord | None:
        now = time.time()
        for trial in self.history.active.values():
            if trial.state is TrialState.QUEUED or (
                trial.holder is not None
                and trial.holder != self._holder
                and is_gone(trial.holder, trial.last_sign, now)
            ):
                return trial
        return None

    def _take_over(self, trial: TrialRecord) -> tuple[list[ev.AnyEvent], Job | None]:
        now = time.time()
        verdict = self.scheduler.judge(self.history, trial) if trial.steps else None
        if verdict and verdict.fate is not Fate.GO_ON and trial.checkpoint in (0, trial.step):
            # Its last report had ended the job; only the word for it was not written.
            lease = self.history.last_lease + 1
            again = self._leased(trial, lease, trial.step, trial.to_step, now)
            return [again, *self._ending(trial.number, lease, trial.step, verdict)], None
        if trial.worker_losses >= WORKER_LOSSES_ALLOWED:
            times = trial.worker_losses
            message = (
                f"its worker was killed {times} times in a row at step {trial.step} without "
                "finishing another epoch; most often the machine ran out of memory"
            )
            failed = ev.TrialFailed(
                time=now, trial=trial.number, lease=0, step=trial.step, kind="lost", message=message
            )
            return [failed], None
        return self._lease(trial, trial.to_step)

    def _start(self, move: Start) -> tuple[list[ev.AnyEvent], Job]:
        history, number = self.history, len(self.history.trials)
        if history.queue:
            configuration, enqueued = history.queue[0], True
        else:
            chance = Chance(self.seed, ("trial", number, "configuration"))
            enqueued = False
            configuration = self.searcher.propose(history, history.space, number, chance)
        lease, now = history.last_lease + 1, time.time()
        return [
            ev.TrialProposed(
                time=now,
                trial=number,
                configuration=configuration,
                seen=history.cursor,
                bracket=move.bracket,
                enqueued=enqueued,
            ),
            self._leased(number, lease, 0, move.to_step, now),
        ], Job(number, lease, configuration, 0, move.to_step)

    def _lease(self, trial: TrialRecord, to_step: int | None) -> tuple[list[ev.AnyEvent], Job]:
        """Lease an earlier trial from its newest checkpoint, however far the log had come.

        A worker killed between writing a checkpoint and reporting it leaves the report in the
        checkpoint's manifest; it is entered here, so that no epoch on disk is trained again.
        """
        lease, now = self.history.last_lease + 1, time.time()
        step, metrics, seconds = self.checkpoints.newest(trial.number)
        known = min(step, trial.step)
        events: list[ev.AnyEvent] = [self._leased(trial, lease, known, to_step, now)]
        if step > known:
            events += self._reported(trial.number, lease, step, metrics, seconds, checkpointed=True)
        return events, Job(trial.number, lease, dict(trial.configuration), step, to_step)

    def _leased(
        self, trial: TrialRecord | int, lease: int, from_step: int, to_step: int | None, now: float
    ) -> ev.JobLeased:
        return ev.JobLeased(
            time=now,
            trial=trial if isinstance(trial, int) else trial.number,
            lease=lease,
            holder=self._holder,
            from_step=from_step,
            to_step=to_step,
        )

    # -- what workers say ------------------------------------------------------------------------

    def record(
        self, trial: Trial, metrics: Mapping[str, float], seconds: float, *, checkpointed: bool
    ) -> Verdict:
        """Write a report and return what becomes of the trial; its end is written here too."""
        events = self._reported(
            trial.number, trial.lease, trial.step, metrics, seconds, checkpointed=checkpointed
        )
        self._append(events)
        record = self.history.trials[trial.number]
        if record.lease != trial.lease:
            return Verdict(Fate.STOP, "another worker has taken this trial over")
        if record.state is not TrialState.RUNNING:
            return Verdict(Fate.STOP, record.why or record.state.value)
        if checkpointed:
            self.checkpoints.keep(trial.number, {record.step, record.best_step})
        verdict = self.scheduler.judge(self.history, record)
        if verdict.fate is Fate.GO_ON and self._time_is_up(trial):
            verdict = Verdict(Fate.RELEASE, "the time is up")
        if verdict.fate is not Fate.GO_ON:
            self._append(self._ending(trial.number, trial.lease, trial.step, verdict))
        return verdict

    def _time_is_up(self, trial: Trial) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _reported(
        self,
        trial: int,
        lease: int,
        step: int,
        metrics: Mapping[str, float],
        seconds: float,
        *,
        checkpointed: bool,
    ) -> list[ev.AnyEvent]:
        now = time.time()
        reported = ev.Reported(
            time=now, trial=trial, lease=lease, step=step, metrics=dict(metrics), seconds=seconds
        )
        events: list[ev.AnyEvent] = [reported]
        if checkpointed:
            events.append(ev.CheckpointWritten(time=now, trial=trial, lease=lease, step=step))
        if (metric := diverged_metric(metrics, self.objective)) is not None:
            events.append(
                ev.TrialDiverged(time=now, trial=trial, lease=lease, step=step, metric=metric)
            )
        return events

    def _ending(self, trial: int, lease: int, step: int, verdict: Verdict) -> list[ev.AnyEvent]:
        now = time.time()
        match verdict.fate:
            case Fate.PAUSE:
                return [ev.TrialPaused(time=now, trial=trial, lease=lease, step=step)]
            case Fate.COMPLETE:
                return [ev.TrialCompleted(time=now, trial=trial, lease=lease, step=step)]
            case Fate.STOP:
                return [
                    ev.TrialStopped(
                        time=now, trial=trial, lease=lease, step=step, reason=verdict.reason
                    )
                ]
            case Fate.RELEASE:
                return [ev.JobReleased(time=now, trial=trial, lease=lease, reason=verdict.reason)]
            case Fate.GO_ON:
                return []

    def settle(self, trial: Trial, configuration: dict[str, Any], grown: Space | None) -> None:
        """Record what a define-by-run trial asked for, and the space if it grew."""
        record = self.history.trials[trial.number]
        if record.configuration == configuration and grown is None:
            return
        now = time.time()
        settled = ev.ConfigurationSettled(
            time=now, trial=trial.number, lease=trial.lease, configuration=configuration
        )
        while True:
            events: list[ev.AnyEvent] = [settled]
            merged = self.history.space
            for key, domain in (grown.domains if grown is not None else {}).items():
                if key not in merged:
                    merged = merged.with_domain(key, domain)
            if merged != self.history.space:
                events.insert(
                    0, ev.SpaceGrown(time=now, trial=trial.number, space=merged.to_dict())
                )
            try:
                self._append(events, expect=self.history.cursor)
            except Conflict:
                self.refresh()
                continue
            return

    def finish(self, trial: Trial) -> None:
        """Complete a trial whose training code returned before its rung's end."""
        trial.closed = True
        if self.history.trials[trial.number].state is TrialState.RUNNING:
            done = ev.TrialCompleted(
                time=time.time(), trial=trial.number, lease=trial.lease, step=trial.step
            )
            self._append([done])

    def fail(self, trial: Trial, kind: str, message: str, traceback: str = "") -> None:
        """Record that a trial ended without a result; *kind* is 'error' or 'out of memory'."""
        trial.closed = True
        self._append(
            [
                ev.TrialFailed(
                    time=time.time(),
                    trial=trial.number,
                    lease=trial.lease,
                    step=trial.step,
                    kind=kind,
                    message=message,
                    traceback=traceback,
                )
            ]
        )

    def release(self, trial: Trial, reason: str) -> None:
        """Give a trial back unfinished; it goes on from its last checkpoint."""
        trial.closed = True
        self._append(
            [ev.JobReleased(time=time.time(), trial=trial.number, lease=trial.lease, reason=reason)]
        )

    def release_dead(self, cause: str, *, blame: bool) -> list[int]:
        """Put back in the queue what dead processes hold, and return the trials' numbers.

        With *blame* it counts as a loss of the worker, of which a trial is allowed a few in a row;
        without (the user pressed Ctrl-C) it does not.
        """
        now = time.time()
        held = [
            t
            for t in self.refresh().active.values()
            if t.holder is not None and is_gone(t.holder, t.last_sign, now)
        ]
        if blame:
            self._append(
                [ev.WorkerLost(time=now, trial=t.number, lease=t.lease, cause=cause) for t in held]
            )
        else:
            self._append(
                [
                    ev.JobReleased(time=now, trial=t.number, lease=t.lease, reason=cause)
                    for t in held
                ]
            )
        return [t.number for t in held]

    def retry_errors(self) -> int:
        """Put the trials back in the queue that failed by a bug in the user's code; return how many."""
        failed = [
            t for t in self.trials if t.state is TrialState.FAILED and t.kind in ("error", "lost")
        ]
        if failed:
            now, reason = time.time(), "the study was started again"
            self._append(
                [ev.TrialRequeued(time=now, trial=t.number, reason=reason) for t in failed]
            )
        return len(failed)

    # -- ask and tell ----------------------------------------------------------------------------

    def ask(self) -> Trial:
        """Return a trial for the caller to run, for loops that Luthier does not drive.

        Raises:
            StudyError: when the study has nothing to give: finished, or waiting for other trials.
        """
        job = self.next_job()
        if isinstance(job, Done):
            raise StudyError(f"Study {self.name!r} is finished: {job.reason}.")
        if isinstance(job, Wait):
            raise StudyError(
                f"Study {self.name!r} has nothing to run until a running trial reports: tell the "
                "trials that were asked for first."
            )
        return Trial(self, job)

    def tell(self, trial: Trial, metrics: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """End a trial, with its last metrics unless they were reported already.

        Raises:
            StudyError: a metric that is no number, no objective, or nothing was ever reported.
        """
        values = {**(metrics or {}), **named}
        record = self.history.trials[trial.number]
        if values:
            numbers = checked_metrics(values, self.objective)
            trial.step += 1
            events = self._reported(
                trial.number, trial.lease, trial.step, numbers, 0.0, checkpointed=False
            )
            end = ev.TrialCompleted(
                time=events[0].time, trial=trial.number, lease=trial.lease, step=trial.step
            )
            self._append([*events, end])
            trial.closed = True
        elif record.steps:
            self.finish(trial)
        else:
            raise StudyError(
                f"Trial {trial.number} was told nothing and reported nothing: expected "
                f"study.tell(trial, {self.objective.metric}=...)."
            )

    def enqueue(self, configuration: Mapping[str, Any]) -> None:
        """Have *configuration* tried next, before what the searcher proposes.

        Raises:
            SpaceError: when the space does not hold it.
        """
        checked = self.space.check(configuration)
        self._append([ev.Enqueued(time=time.time(), configuration=checked)])

    # -- parts -----------------------------------------------------------------------------------

    def _append(self, events: list[ev.AnyEvent], expect: int | None = None) -> None:
        if not events:
            return
        last = self._store.append(self.name, [ev.encode(e) for e in events], expect)
        if last == self.history.cursor + len(events):
            for event in events:
                self.history.apply(self.history.cursor + 1, event)
        else:
            self.refresh()

    def _within_the_space(self, limits: Limits) -> Limits:
        size = self.searcher.size(self.space)
        if size is None or (limits.trials is not None and limits.trials <= size):
            return limits
        return Limits(trials=size, epochs=limits.epochs)
