"""Who trains next: what the scheduler says, after the trials that nobody holds."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Generator
from typing import Self

from luthier.errors import LuthierWarning, StorageError, StudyError
from luthier.space import Space
from luthier.study import deciding
from luthier.study import events as ev
from luthier.study.clock import SYSTEM_CLOCK, Clock
from luthier.study.deciding import Deciding, Decision, Job, Proposal
from luthier.study.exhausting import exhaustible, waits_for_a_report
from luthier.study.growing import Growing
from luthier.study.history import History
from luthier.study.holder import holder_for
from luthier.study.leases import Leases, ProcessLeases, lapsed_trials
from luthier.study.protocols import (
    Checkpoints,
    Conflict,
    Done,
    Fate,
    Limits,
    Scheduler,
    Searcher,
    Start,
    Store,
    Wait,
    Widens,
)
from luthier.study.records import TrialRecord
from luthier.study.writing import Writing

_BRIEF = 0.01  # seconds of deciding during which all others can well wait
_LOOK_FOR_LAPSED = 1.0  # seconds between two looks at who has fallen silent

TIME_WAS_GIVEN = "the time that somebody gave the study is up"


class Choosing(Writing):
    """A study that gives out jobs.

    Attributes:
        scheduler: decides who trains for how long.
        checkpoints: what trials go on from.
        leases: who is gone.
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
        on_lease: Callable[[Self], object] | None = None,
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
        follows = deciding.exhausts(self.searcher)
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
        fresh = isinstance(move, Start) and move.configuration is None
        if fresh and waits_for_a_report(history, self.searcher, self.scheduler):
            move = Wait()
        if isinstance(move, Start):
            known = proposal is not None and decider.holds(proposal)
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
            return Done(f"stopped by hand{because(history.held_why)}")
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


def because(reason: str) -> str:
    """Return the words that follow what was done by hand, and why."""
    return f": {reason}" if reason else ""
