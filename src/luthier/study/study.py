"""The one door to a study: ask, tell, report, next_job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, overload

from luthier.errors import StorageError, StudyError, StudyFinished, TrialEnded
from luthier.space import HyperParameters
from luthier.study import deciding, interrupts
from luthier.study import events as ev
from luthier.study.choosing import Choosing, because
from luthier.study.deciding import Job
from luthier.study.feasibility import halved
from luthier.study.goals import checked_report
from luthier.study.leases import held_here
from luthier.study.objective import named_metrics
from luthier.study.protocols import (
    GO_ON,
    Conflict,
    Done,
    Fate,
    Verdict,
    Wait,
    judges_alone,
)
from luthier.study.records import TrialRecord, TrialState
from luthier.study.trial import Trial


class Study(Choosing):
    """A search for a good configuration, backed by its log.

    Made by ``luthier.open(...)``; any number of processes may open the same one and work side by side.
    """

    # -- what workers say ------------------------------------------------------------------------

    def record(
        self, trial: Trial, metrics: Mapping[str, float], seconds: float, *, checkpointed: bool
    ) -> Verdict:
        """Write a report and return what becomes of the trial; its end is written here too."""
        with interrupts.held():
            return self._recorded(trial, metrics, seconds, checkpointed=checkpointed)

    def _recorded(
        self, trial: Trial, metrics: Mapping[str, float], seconds: float, *, checkpointed: bool
    ) -> Verdict:
        events = self._reported(trial, metrics, seconds, checkpointed=checkpointed)
        if self._deferred(trial, events):
            return GO_ON
        self._append(events)
        record = self._history.trials[trial.number]
        if record.lease != trial.lease:
            self.leased.pop(trial.lease, None)
            return Verdict(Fate.STOP, "another worker has taken this trial over")
        if record.state is not TrialState.RUNNING:
            self.leased.pop(trial.lease, None)
            return Verdict(Fate.STOP, record.why or record.state.value)
        if checkpointed:
            inherited = self._history.inherited().get(trial.number, set())
            self.checkpoints.keep(trial.number, {record.step, record.best_checkpoint, *inherited})
        verdict = self.scheduler.judge(self._history, record)
        if verdict.fate is Fate.GO_ON:
            verdict = self._interruption() or verdict
        if verdict.fate is not Fate.GO_ON:
            now = self.clock.time()
            self._append(
                deciding.ending(now, trial.number, trial.lease, trial.step, verdict), trial
            )
        return verdict

    def _deferred(self, trial: Trial, events: list[ev.AnyEvent], *, ends: bool = False) -> bool:
        """Let what a trial says wait for what is appended next, if it would go on whatever it says."""
        record = self._history.trials[trial.number]
        if (
            not self._pace.hurried(self.clock.monotonic())
            or not judges_alone(self.scheduler)
            or self._may_use_up_the_epochs(record, ends=ends)
            or len(events) > 1 + ends
            or (record.to_step is not None and trial.step >= record.to_step and not ends)
            or record.lease != trial.lease
            or record.state is not TrialState.RUNNING
            or self._interruption() is not None
        ):
            return False
        bodies = [ev.encode(event) for event in events]
        deferred = self.store.defer(self.name, bodies, self._history.cursor)
        if deferred:
            self._pace.deferred(len(events))
        return deferred

    def _may_use_up_the_epochs(self, record: TrialRecord, *, ends: bool) -> bool:
        """Return whether a report may be the last that the limits hold, of a trial that knows no end itself."""
        return record.to_step is None and not ends and self._history.limits.epochs is not None

    @property
    def interrupted(self) -> bool:
        """Return whether a trial that reports now is given back: by hand, by preemption, by the time."""
        if not self._pace.fresh(self.clock.monotonic()):
            self.refresh()
        return self._interruption() is not None

    def _interruption(self) -> Verdict | None:
        """Return why a trial must be given back though its scheduler lets it go on."""
        if self.preempted:
            return Verdict(Fate.RELEASE, self.preempted, "preempted")
        if self._history.held:
            why = f"{self._history.held} by hand{because(self._history.held_why)}"
            return Verdict(Fate.RELEASE, why, "paused")
        if over := self._time_is_up():
            return Verdict(Fate.RELEASE, over, "time")
        return None

    def _reported(
        self, trial: Trial, metrics: Mapping[str, float], seconds: float, *, checkpointed: bool
    ) -> list[ev.AnyEvent]:
        return deciding.reported(
            self.clock.time(),
            self._history,
            trial.number,
            trial.lease,
            trial.step,
            metrics,
            seconds,
            checkpointed=checkpointed,
        )

    def settle(self, trial: Trial, configuration: dict[str, Any], asked: HyperParameters) -> None:
        """Record what a define-by-run trial asked for, and the space if that changed it."""
        now = self.clock.time()
        settled = ev.ConfigurationSettled(
            time=now, trial=trial.number, lease=trial.lease, configuration=configuration
        )
        while True:
            space = self._history.space
            wanted = self._growing.space(space, trial.number, asked)
            events: list[ev.AnyEvent] = []
            if wanted != space:
                events.append(ev.SpaceGrown(time=now, trial=trial.number, space=wanted.to_dict()))
            if self._history.trials[trial.number].configuration != configuration:
                events.append(settled)
            if events:
                try:
                    self._append(events, expect=self._history.cursor)
                except Conflict:
                    self.refresh()
                    continue
            self._growing.took(trial.number, asked)
            return

    def finish(self, trial: Trial) -> None:
        """Complete a trial whose training code returned before its rung's end."""
        trial.closed = True
        if self._history.trials[trial.number].state is TrialState.RUNNING:
            self._append([self._completed(trial)], trial)

    def _completed(self, trial: Trial, at: float | None = None) -> ev.TrialCompleted:
        now = self.clock.time() if at is None else at
        return ev.TrialCompleted(time=now, trial=trial.number, lease=trial.lease, step=trial.step)

    def fail(self, trial: Trial, kind: str, message: str, traceback: str = "") -> None:
        """Record that a trial ended without a result; *kind* is 'error' or 'out of memory'.

        After the first 'out of memory' of a trial, it is put back in the queue with half the batch if
        the study was made with ``halve=``.
        """
        trial.closed = True
        now, number, lease, step = self.clock.time(), trial.number, trial.lease, trial.step
        failed = ev.TrialFailed(
            time=now, trial=number, lease=lease, step=step,
            kind=kind, message=message, traceback=traceback,
        )  # fmt: skip
        again = self._with_half(trial) if kind == "out of memory" else []
        self._append([failed, *again], trial)

    def _with_half(self, trial: Trial) -> list[ev.AnyEvent]:
        name, record = self._history.header.halve, self._history.trials[trial.number]
        if not name or record.lease != trial.lease or record.retries.get("out of memory"):
            return []
        half = halved(self._history.space, record.configuration, name)
        if half is None:
            return []
        reason = f"it ran out of memory; again with half the {name}"
        return [
            ev.TrialRequeued(
                time=self.clock.time(),
                trial=trial.number,
                reason=reason,
                cause="out of memory",
                configuration=half,
            )
        ]

    def release(self, trial: Trial, reason: str, cause: str = "interrupted") -> None:
        """Give a trial back unfinished; it goes on from its last checkpoint."""
        trial.closed = True
        verdict = Verdict(Fate.RELEASE, reason, cause)
        now = self.clock.time()
        self._append(deciding.ending(now, trial.number, trial.lease, trial.step, verdict), trial)

    def release_lapsed(
        self,
        reason: str,
        *,
        kind: str = "interrupted",
        of: Collection[int] | None = None,
    ) -> list[int]:
        """Put back in the queue what gone processes hold, and return the trials' numbers.

        Args:
            reason: in words.
            kind: 'lost', 'hung', 'out of memory' or 'preempted': it counts against the trial, which is
                allowed some in a row; 'interrupted' (the user pressed Ctrl-C) does not.
            of: the ids of the processes of this machine whose trials alone are meant; None for all.
        """
        self.refresh()
        lapsed = self._lapsed()
        if of is not None:
            theirs = {trial.number for trial in held_here(self._history, self.leases, of)}
            lapsed = [trial for trial in lapsed if trial.number in theirs]
        return self.release_held(lapsed, reason, kind=kind)

    def release_held(
        self, held: Sequence[TrialRecord], reason: str, *, kind: str = "interrupted"
    ) -> list[int]:
        """Put these running trials back in the queue; see ``release_lapsed``."""
        self._append(deciding.put_back(self.clock.time(), held, reason, kind))
        return [t.number for t in held]

    def retry_errors(self, *, lost: bool = True) -> int:
        """Put the trials back in the queue that failed by a bug in the user's code; return how many.

        With *lost* also those that failed because their workers were killed, or hung, again and again.
        """
        failed = [t for t in self.trials if t.resumable and (lost or t.kind == "error")]
        now, reason = self.clock.time(), "the study was started again"
        self._append([ev.TrialRequeued(time=now, trial=t.number, reason=reason) for t in failed])
        return len(failed)

    # -- ask and tell ----------------------------------------------------------------------------

    @overload
    def ask(self) -> Trial: ...

    @overload
    def ask(self, count: int) -> list[Trial]: ...

    def ask(self, count: int | None = None) -> Trial | list[Trial]:
        """Return a trial for the caller to run, for loops that Luthier does not drive.

        Args:
            count: return a list of so many, to be run at the same time: each is chosen with those
                before it in mind. There are fewer when the study ends or waits for others first.

        Raises:
            StudyFinished: the study has no trial to give any more.
            StudyError: it waits for other trials, or is paused by hand; a count below 1.
        """
        if count is None:
            return self._asked()
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(f"count must be a whole number above 0, got {count!r}.")
        trials = [self._asked()]
        while len(trials) < count and isinstance(job := self.next_job(), Job):
            trials.append(Trial(self, job))
        return trials

    def _asked(self) -> Trial:
        job = self.next_job()
        if isinstance(job, Done):
            raise StudyFinished(f"Study {self.name!r} is finished: {job.reason}.")
        if isinstance(job, Wait):
            raise StudyError(self._why_it_waits())
        return Trial(self, job)

    def _why_it_waits(self) -> str:
        if self._history.held:
            return (
                f"Study {self.name!r} is paused by hand{because(self._history.held_why)}. It goes on by "
                "`luthier resume`, or study.steer.go_on()."
            )
        return (
            f"Study {self.name!r} has nothing to run until a running trial reports: tell the trials "
            "that were asked for first."
        )

    def tell(self, trial: Trial, metrics: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """End a trial, with its last metrics unless they were reported already.

        Raises:
            StudyError: a metric that is no number, no objective, or nothing was ever reported.
            TrialEnded: it was told already, or given back.
            CheckpointError, StorageError: what it reported last in ``trial.epochs`` cannot be written.
        """
        if not isinstance(trial, Trial):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(
                f"study.tell takes the trial that study.ask() returned, got {trial!r}."
            )
        values = named_metrics(metrics, named, "study.tell(trial, {}=...)", self.objective)
        if trial.closed:
            raise TrialEnded(
                f"Trial {trial.number} has ended already, at step {trial.step}: tell each trial once, "
                "and ask for another one."
            )
        trial.flush()
        trial.settle()
        if values:
            numbers = checked_report(values, self._history.goals)
            self._tell_last(trial, numbers)
        elif trial.has_reported:
            self._told(trial, [self._completed(trial)])
        else:
            raise StudyError(
                f"Trial {trial.number} was told nothing and reported nothing: expected "
                f"study.tell(trial, {self.objective.metric}=...)."
            )

    def _tell_last(self, trial: Trial, metrics: Mapping[str, float]) -> None:
        trial.step += 1
        try:
            events = self._reported(trial, metrics, 0.0, checkpointed=False)
            # One time for all: by that a replay knows that no verdict has ended the trial.
            self._told(trial, [*events, self._completed(trial, events[0].time)])
        except StorageError:
            trial.step -= 1
            raise

    def _told(self, trial: Trial, events: list[ev.AnyEvent]) -> None:
        try:
            if self._deferred(trial, events, ends=True):
                self.leased.pop(trial.lease, None)
            else:
                self._append(events, trial)
        except StorageError:
            self.leased[trial.lease] = trial.number  # until it is told again
            raise
        trial.closed = True
