"""The one door to a study: ask, tell, report, next_job."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any, overload

from luthier.errors import LuthierWarning, StorageError, StudyError, StudyFinished, TrialEnded
from luthier.space import HyperParameters, Space
from luthier.study import deciding, interrupts
from luthier.study import events as ev
from luthier.study.clock import SYSTEM_CLOCK, Clock
from luthier.study.deciding import Deciding, Decision, Job, Proposal
from luthier.study.exhausting import exhaustible
from luthier.study.feasibility import halved
from luthier.study.goals import checked_report
from luthier.study.growing import Growing
from luthier.study.history import History
from luthier.study.holder import holder_for
from luthier.study.leases import Leases, ProcessLeases, held_here, lapsed_trials
from luthier.study.objective import named_metrics
from luthier.study.protocols import (
    GO_ON,
    Checkpoints,
    Conflict,
    Done,
    Fate,
    Limits,
    Scheduler,
    Searcher,
    Start,
    Store,
    Verdict,
    Wait,
    Widens,
    judges_alone,
)
from luthier.study.records import TrialRecord, TrialState
from luthier.study.trial import Trial
from luthier.study.writing import Writing

_BRIEF = 0.01  # seconds of deciding during which all others can well wait
_LOOK_FOR_LAPSED = 1.0  # seconds between two looks at who has fallen silent

TIME_WAS_GIVEN = "the time that somebody gave the study is up"


class Study(Writing):
    """A search for a good configuration, backed by its log.

    Made by ``luthier.open(...)``; any number of processes may open the same one and work side by side.

    Attributes:
        deadline: on the clock's monotonic time, when this process should stop; None for never.
        preempted: why this process has to go, '' while it may stay: its trial is given back at its
            next report.
        warned: what this process has warned of in this study.
        hopeful: the number of the first trial whose failing counts against going on: what made earlier ones
            fail may have been mended before this program was started.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        searcher: Searcher,
        scheduler: Scheduler,
        checkpoints: Checkpoints,
        deadline: float | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        leases: Leases | None = None,
        on_lease: Callable[[Study], object] | None = None,
        widens: Widens | None = None,
    ) -> None:
        super().__init__(store, name, searcher, clock)
        self.scheduler = scheduler
        self.checkpoints = checkpoints
        self.deadline = deadline
        self.preempted = ""
        self.warned: set[str] = set()
        self._growing = Growing()
        local = "://" not in store.address
        self.leases = leases or ProcessLeases(holder_for(self), clock, local=local)
        self._on_lease = on_lease
        self._widens = widens
        self._looked = -_LOOK_FOR_LAPSED
        self._seconds_to_decide = 0.0  # the last time
        self._limits: tuple[tuple[Limits, Space, int], Limits] | None = None
        self.hopeful = len(self.refresh().trials)

    @property
    def limits(self) -> Limits:
        """Return how much may be tried: the budget, and no more than the space holds."""
        history = self._history
        follows = deciding.follows_code(self.searcher, history)
        follows = follows or exhaustible(history, self.searcher, self.scheduler)
        key = (history.limits, history.space, history.cursor if follows else 0)
        if self._limits is None or any(
            a is not b for a, b in zip(self._limits[0], key, strict=True)
        ):
            within = deciding.within_space(history.limits, self.searcher, self.scheduler, history)
            self._limits = (key, within)
        return self._limits[1]

    # -- jobs ------------------------------------------------------------------------------------

    def next_job(self, holder: ev.Holder | None = None) -> Job | Wait | Done:
        """Return what a free worker should train next, leased to it.

        First the trials whose worker vanished or gave them back, from their newest checkpoints; then
        what the scheduler says.

        Args:
            holder: who takes the lease; by default this process.
        """
        proposal: Proposal | None = None
        with self._deciding():
            while True:
                self.refresh()
                decider = self._decider(holder)
                choice, proposal = self._choose(decider, proposal)
                if proposal is not None and not proposal.enqueued:
                    self._check_not_in_vain()
                if isinstance(choice, Wait | Done):
                    return choice
                try:
                    self._append(choice.events, expect=self._history.cursor)
                except Conflict:
                    continue
                if choice.lost:
                    warnings.warn(choice.lost, LuthierWarning, stacklevel=2)
                job = choice.job
                if job is not None and not self._already_over(job):
                    self.leased[job.lease] = job.trial
                    if self._on_lease is not None:
                        self._on_lease(self)
                    return job

    def _check_not_in_vain(self) -> None:
        words = deciding.in_vain(self._history, self.hopeful)
        if words:
            self.hopeful = len(self._history.trials)  # whoever asks again has heard it
            raise StudyError(words)

    @contextlib.contextmanager
    def _deciding(self) -> Generator[None]:
        # What is asked of a server may take long at any time: nobody shall wait for it to write.
        near = not getattr(self.checkpoints, "remote", False)
        briefly = near and self._seconds_to_decide < _BRIEF
        try:
            with self.store.deciding(self.name, briefly=briefly, meanwhile=self.refresh):
                begin = time.perf_counter()
                yield
                self._seconds_to_decide = time.perf_counter() - begin
        except StorageError:
            # It may hold deferred events that were not appended after all.
            self._history = History()
            with contextlib.suppress(StorageError):
                self.refresh()
            raise

    def _decider(self, holder: ev.Holder | None = None) -> Deciding:
        return Deciding(
            self._history,
            self.searcher,
            self.scheduler,
            self.limits,
            self.checkpoints,
            holder or self.leases.holder,
            self.leases.term,
            self.clock.time(),
            self._widens,
        )

    def _choose(
        self, decider: Deciding, proposal: Proposal | None
    ) -> tuple[Decision | Wait | Done, Proposal | None]:
        """Return what to do; *proposal* is an earlier one that a conflict kept from being written."""
        history = self._history
        if (decision := decider.stragglers()) is not None:
            return decision, proposal
        if (stop := self._stop()) is not None:
            return stop, proposal
        if (trial := self._orphan()) is not None:
            return decider.take_over(trial), proposal
        move = self.scheduler.next(history, self.limits)
        if isinstance(move, Done):
            move = self._in_words(move)
        if isinstance(move, Start | Done) and (decision := decider.turn(move)) is not None:
            return decision, proposal
        if isinstance(move, Start):
            here = (len(history.trials), deciding.stage_of(history))
            known = proposal is not None and (proposal.number, proposal.stage) == here
            if proposal is None or not known or history.queue or move.configuration is not None:
                proposal = decider.propose(move)
            # What a scheduler chose itself is right for this move alone.
            return decider.start(move, proposal), None if move.configuration else proposal
        if isinstance(move, Wait | Done):
            lapsed = self._lapsed()
            return (decider.take_over(lapsed[0]) if lapsed else move), proposal
        return decider.resume(move, move.to_step), proposal

    def why_over(self) -> str:
        """Return why there is no job for this process any more; '' while there is one, or may be one."""
        history = self.refresh()
        move = self._stop()
        if move is None and not history.queued:
            move = self.scheduler.next(history, self.limits)
        return self._in_words(move).reason if isinstance(move, Done) else ""

    def _in_words(self, done: Done) -> Done:
        """Return *done* with its reason, where that is the end of a small space."""
        history, most = self._history, self.limits.trials
        ends = most != history.limits.trials and most == len(history.trials)
        if not (ends and exhaustible(history, self.searcher, self.scheduler)):
            return done
        return Done(f"all {len(history.trials)} configurations of the space were tried")

    def _stop(self) -> Wait | Done | None:
        history = self._history
        if history.held == "stopped":
            return Done(f"stopped by hand{_because(history.held_why)}")
        if history.errors:
            number = min(history.errors)
            return Done(f"the training code failed in trial {number}")
        if self.preempted:
            return Done(self.preempted)
        if over := self._time_is_up():
            return Done(over)
        return Wait() if history.held else None

    def _time_is_up(self) -> str:
        """Return by whose word the time is up; '' while it is not."""
        if self.deadline is not None and self.clock.monotonic() >= self.deadline:
            return "the time is up"
        until = self._history.until
        if until is None or self.clock.time() < until:
            return ""
        return TIME_WAS_GIVEN

    def _orphan(self) -> TrialRecord | None:
        """Return a trial that nobody holds; looks for silent holders only now and then."""
        if self._history.queued:
            return self._history.queued[min(self._history.queued)]
        now = self.clock.monotonic()
        if now - self._looked < _LOOK_FOR_LAPSED:
            return None
        self._looked = now
        lapsed = self._lapsed()
        return lapsed[0] if lapsed else None

    def _lapsed(self) -> list[TrialRecord]:
        """Return the trials whose holders are gone, after all that these had reported is known."""
        lapsed = lapsed_trials(self._history, self.leases)
        if not lapsed:
            return []
        self.store.recover({trial.holder.pid for trial in lapsed if trial.holder is not None})
        # Not one whose holder went while we recovered what others had reported.
        known = {(trial.number, trial.lease) for trial in lapsed}
        lapsed = lapsed_trials(self.refresh(), self.leases)
        return [trial for trial in lapsed if (trial.number, trial.lease) in known]

    def _already_over(self, job: Job) -> bool:
        """Conclude a job whose last epoch a vanished worker had trained; True when it was one."""
        record = self._history.trials[job.trial]
        if not record.steps or record.step < (job.to_step or record.step + 1):
            return False
        verdict = self.scheduler.judge(self._history, record)
        self._append(deciding.ending(self.clock.time(), job.trial, job.lease, record.step, verdict))
        return verdict.fate is not Fate.GO_ON

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
            why = f"{self._history.held} by hand{_because(self._history.held_why)}"
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
                f"Study {self.name!r} is paused by hand{_because(self._history.held_why)}. It goes on by "
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


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
