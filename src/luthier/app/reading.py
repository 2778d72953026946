"""What the commands read out of a study's log."""

from __future__ import annotations

import time
from collections import Counter

import msgspec

from luthier.errors import StorageError
from luthier.study import events as ev
from luthier.study.history import History, TrialRecord, TrialState
from luthier.study.holder import is_gone
from luthier.study.protocols import Store


def read(store: Store, name: str) -> History:
    """Return the history of one study.

    Raises:
        StorageError: an event that this version of Luthier cannot read.
    """
    history = History()
    for number, body in store.read(name):
        try:
            event = ev.decode(body)
        except msgspec.MsgspecError as error:
            raise StorageError(
                f"Event {number} of study {name!r} cannot be read ({error}): the file is damaged, or "
                "was written by a newer luthier; upgrade luthier."
            ) from error
        history.apply(number, event)
    return history


def finite_best(history: History) -> TrialRecord | None:
    """Return the trial that ranks first, None while none has a finite value."""
    ranking = history.ranking()
    return ranking[0] if ranking else None


def activity(history: History) -> str:
    """Return 'running' when a living process holds a trial, 'to be continued', or 'idle'."""
    now = time.time()
    active = history.active.values()
    if any(t.holder is not None and not is_gone(t.holder, t.last_sign, now) for t in active):
        return "running"
    return "to be continued" if active or history.paused else "idle"


def failures(history: History) -> Counter[str]:
    """Return how many trials diverged, and how many failed by each kind of failure."""
    kinds: Counter[str] = Counter()
    for trial in history.trials:
        if kind := failure(trial):
            kinds[kind] += 1
    return kinds


def failure(trial: TrialRecord) -> str:
    """Return 'diverged' or the kind of failure, '' for a trial that did neither."""
    if trial.state is TrialState.DIVERGED:
        return "diverged"
    return (trial.kind or "failed") if trial.state is TrialState.FAILED else ""
