"""What the commands read out of a study's log."""

from __future__ import annotations

import time
from collections import Counter

from luthier.errors import StudyError
from luthier.study.history import History
from luthier.study.holder import Liveness, liveness
from luthier.study.protocols import Store
from luthier.study.records import TrialRecord, TrialState
from luthier.study.snapshot import follow


def read(store: Store, name: str) -> History:
    """Return the history of one study.

    Raises:
        StorageError: an event that this version of Luthier cannot read.
    """
    return follow(store, name, History())


def finite_best(history: History) -> TrialRecord | None:
    """Return the trial that ranks first, None while none has a finite value."""
    ranking = history.ranking()
    return ranking[0] if ranking else None


def trial_of(history: History, number: int) -> TrialRecord:
    """Return trial *number*.

    Raises:
        StudyError: there is none.
    """
    if not 0 <= number < len(history.trials):
        last = len(history.trials) - 1
        known = f"expected 0 to {last}" if last > 0 else f"it has {last + 1} trials so far"
        raise StudyError(f"Study {history.header.name!r} has no trial {number}: {known}.")
    return history.trials[number]


def activity(history: History) -> str:
    """Return 'running' when a living process holds a trial, 'to be continued', or 'idle'."""
    if history.held:
        return f"{history.held} by hand"
    active = history.active.values()
    if any(t.holder is not None and _lives(t, history) for t in active):
        return "running"
    return "to be continued" if active or history.paused else "idle"


def _lives(trial: TrialRecord, history: History) -> bool:
    """Return whether a trial's worker lives, as far as this process can tell."""
    assert trial.holder is not None
    alive = liveness(trial.holder, local=False)
    silent = time.time() - trial.last_sign > 2 * (trial.term or 900.0)
    here = alive in (Liveness.ALIVE, Liveness.STOPPED)
    return here or (alive is Liveness.UNKNOWN and not silent)


def failures(history: History) -> Counter[str]:
    """Return how many trials diverged, and how many failed by each kind of failure."""
    kinds: Counter[str] = Counter()
    for trial in history.trials:
        if kind := failure(trial):
            kinds[kind] += 1
    return kinds


def returns(history: History) -> Counter[str]:
    """Return how often trials were put back in the queue, by cause."""
    causes: Counter[str] = Counter()
    for trial in history.trials:
        causes.update(trial.retries)
    return causes


def failure(trial: TrialRecord) -> str:
    """Return 'diverged' or the kind of failure, '' for a trial that did neither."""
    if trial.state is TrialState.DIVERGED:
        return "diverged"
    return (trial.kind or "failed") if trial.state is TrialState.FAILED else ""
