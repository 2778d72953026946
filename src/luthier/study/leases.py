"""Whether a lease still holds.

A worker keeps its lease by giving signs: reports, checkpoints, renewals. Who sees none for the lease's
term may take the job. Silence is measured on the observer's own clock from the moment it saw the last
sign, so machines whose clocks disagree do not rob each other, and one that slept robs nobody. On one
machine nobody has to wait: a process that is gone is seen to be gone. One that lives keeps its lease while
who renews it, the supervisor that started it, is stopped (Ctrl-Z).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Protocol

from luthier.study.clock import Clock
from luthier.study.events import Holder
from luthier.study.history import History
from luthier.study.holder import Liveness, held_up, in_this_fork, liveness
from luthier.study.records import TrialRecord, TrialState

TERM = 60.0  # seconds; workers renew three times as often
_CERTAINLY_OVER = 900.0  # seconds by the calendar's clock, for what was old when we began


class Leases(Protocol):
    """Who holds what, as one process sees it."""

    @property
    def holder(self) -> Holder:
        """Return the identity under which this process takes leases."""
        ...

    @property
    def term(self) -> float:
        """Return how many seconds of silence its own leases survive."""
        ...

    def lapsed(self, trial: TrialRecord) -> bool:
        """Return True when the lease on a running trial is void."""
        ...


class ProcessLeases:
    """Leases of real processes.

    Args:
        holder: this process.
        clock: the machine's.
        local: True when every process that can write to the store is on this machine.
        term: seconds.
    """

    def __init__(self, holder: Holder, clock: Clock, *, local: bool, term: float = TERM) -> None:
        self.term = term
        self._holder, self._process = holder, os.getpid()
        self._clock = clock
        self._local = local
        self._began = clock.time()
        self._signs: dict[int, tuple[float, float]] = {}  # lease: its last sign, and when we saw it

    @property
    def holder(self) -> Holder:
        """Return the identity under which this process takes leases: a fork's own, not its parent's."""
        if self._process != os.getpid():
            self._holder, self._process = in_this_fork(self._holder), os.getpid()
        return self._holder

    def lapsed(self, trial: TrialRecord) -> bool:
        """Return True when the holder is gone, or has been silent for longer than the term."""
        if trial.state is not TrialState.RUNNING or trial.holder is None:
            return False
        if trial.holder == self.holder:
            return False
        alive = liveness(trial.holder, local=self._local)
        if alive is Liveness.GONE:
            return True
        if alive is Liveness.UNKNOWN:
            if trial.last_sign < self._began - _CERTAINLY_OVER:
                return True  # nobody has to wait for what another machine left behind long ago
        elif not trial.term:
            return False
        if self._silent(trial) <= (trial.term or _CERTAINLY_OVER):
            return False
        return alive is not Liveness.ALIVE or not held_up(trial.holder)

    def _silent(self, trial: TrialRecord) -> float:
        now = self._clock.monotonic()
        sign, seen = self._signs.get(trial.lease, (None, now))
        if sign != trial.last_sign:
            self._signs[trial.lease] = (trial.last_sign, now)
            seen = now
            if len(self._signs) > 10_000:
                self._signs = {trial.lease: (trial.last_sign, now)}
        return now - seen


def lapsed_trials(history: History, leases: Leases) -> list[TrialRecord]:
    """Return the running trials whose leases are void, the longest silent first."""
    found = [t for t in history.active.values() if leases.lapsed(t)]
    return sorted(found, key=lambda t: (t.last_sign, t.number))


def held_here(history: History, leases: Leases, pids: Collection[int]) -> list[TrialRecord]:
    """Return the running trials that these processes of this machine hold."""
    here = leases.holder
    return [
        t
        for t in history.active.values()
        if t.holder is not None
        and t.holder.pid in pids
        and (t.holder.boot, t.holder.namespace) == (here.boot, here.namespace)
    ]
