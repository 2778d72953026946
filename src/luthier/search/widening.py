"""A study that may widen its space by itself: when it looks, and what it does.

It looks after every ten trials, as a tuner would: often enough that what is found still has a budget to be
used, and at fixed numbers, so that every process decides alike and a replay does, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from luthier.search.crowding import Crowded, crowded, widened
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.history import History

_EVERY = 10  # trials between two looks
_WORTH = 5  # trials that must be left, to be tried in what is new


def due(history: History, room: int | None) -> ev.SpaceChanged | None:
    """Return the wider space where the best trials crowd an edge that can move; mostly None.

    Args:
        history: the study, which is about to begin a trial.
        room: how many more trials are expected to be begun; None: no end is known.
    """
    count = len(history.trials)
    if not history.widening or count == 0 or count % _EVERY or changed_now(history):
        return None
    if room is not None and room < _WORTH:
        return None
    return change(history, crowded(history))


def changed_now(history: History) -> bool:
    """Return True when the space was changed since the last trial was begun: nothing new is known."""
    return bool(history.changes) and history.changes[-1].first == len(history.trials)


def wider_since(history: History, number: int, *, by_hand: bool = False) -> int:
    """Return how many trials were begun before the space was last made wider; 0 where it never was.

    Trials before that say nothing of what is new. A change that only narrows leaves nothing to look at anew.

    Args:
        history: without repetitions, see ``searched``.
        number: of the trial that is proposed; later changes do not count.
        by_hand: whether what the study did by itself does not count: there the best trials crowd the edge
            that moved, so whoever follows them gets to what is new.
    """
    wider = [record for record in history.changes if record.wider]
    firsts = [record.first for record in wider if not (by_hand and record.change.itself)]
    counts = (sum(trial.number < first for trial in history.trials) for first in firsts)
    return max((count for count in counts if count <= number), default=0)


def whole_since(history: History, space: Space, number: int) -> int:
    """Return the first trial that could lie anywhere in *space*; 0 where it never grew.

    Args:
        history: without repetitions, see ``searched``.
        space: of which those count that are always active.
        number: of the trial that is proposed; later changes do not count.
    """
    wider = (record.first for record in history.changes if record.wider)
    widened = max((first for first in wider if first <= number), default=0)
    trials = history.trials
    names = [name for name in space.searched if not space.domains[name].condition]

    def is_whole(at: int) -> bool:
        return all(name in trials[at].configuration for name in names)

    # Code that asks for its hyperparameters may have asked for one more: trials of before lack it.
    lacking = bisect_left(range(len(trials)), True, key=is_whole)
    return max(widened, trials[lacking - 1].number + 1 if lacking else 0)


def change(history: History, findings: Sequence[Crowded]) -> ev.SpaceChanged | None:
    """Return the event by which the space widens for *findings*, at time 0; None where none can move."""
    moved = [finding for finding in findings if finding.to is not None]
    if not moved:
        return None
    wider = widened(history.space, moved)
    seen = (finding.words.rpartition("; ")[0] for finding in moved)
    reason = "; ".join(f"{s}; widened to {f.to:g}" for s, f in zip(seen, moved, strict=True))
    return ev.SpaceChanged(time=0.0, space=wider.to_dict(), reason=reason, itself=True)
