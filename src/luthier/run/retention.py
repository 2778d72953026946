"""Which checkpoints are kept, so that disk use is bounded.

A trial that may go on keeps its newest and its best checkpoint: whoever writes them sees to that. An
ended trial keeps its best one if it is among the ``KEPT`` best trials of the study, and those that
another trial still has to go on from. One that failed by a bug, or with its workers, goes on when the study
is started again: it counts among those that may. Where the best trials are raced, all finalists are among the
best. Repetitions keep none.
"""

from __future__ import annotations

import heapq
import math
import weakref
from collections.abc import Iterable

from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

KEPT = 3
_Key = tuple[float, int]


def kept_steps(history: History) -> dict[int, set[int]]:
    """Return the ended trials that keep checkpoints, each with the steps of those."""
    return _of_ended(history.ranking()[: kept(history)], history)


def kept(history: History) -> int:
    """Return how many of the best trials keep their best checkpoint."""
    return max(KEPT, history.race.finalists if history.race else 0)


def is_over(history: History, number: int) -> bool:
    """Return whether trial *number* will train no more, so that its checkpoints may be deleted.

    The log may be ahead of this reader, who knows nothing of the trial yet.
    """
    if number >= len(history.trials):
        return False
    trial = history.trials[number]
    return trial.state.ended and not trial.resumable


class Leaders:
    """Answers ``kept_steps`` again and again without ranking all trials each time.

    A trial's place changes only while it is active, so the best ``KEPT`` are among the best of the
    last time and the trials that were active then, are active now, are new, or lie on the disk. Only
    when one of the best of the last time has become worse is everything ranked anew.
    """

    def __init__(self) -> None:
        self._history: weakref.ref[History] | None = None
        self._best: dict[int, _Key] = {}
        self._open: set[int] = set()
        self._seen = 0
        self._count = KEPT

    def kept_steps(self, history: History, on_disk: Iterable[int]) -> dict[int, set[int]]:
        """Return what ``kept_steps(history)`` returns; *on_disk* are the trials with checkpoints."""
        trials = history.trials
        same = self._history is not None and self._history() is history
        count = kept(history)
        if (
            same
            and count == self._count
            and all(_key(trials[n]) <= key for n, key in self._best.items())
        ):
            new = range(self._seen, len(trials))
            numbers = {*self._best, *self._open, *history.active, *new, *on_disk}
            scored = [trials[n] for n in numbers if n < len(trials) and _counts(trials[n])]
            best = heapq.nsmallest(count, scored, key=_key)
        else:
            best = history.ranking()[:count]
        self._count = count
        self._history = weakref.ref(history)
        self._best = {trial.number: _key(trial) for trial in best}
        self._open = set(history.active)
        self._seen = len(trials)
        return _of_ended(best, history)


def _of_ended(best: Iterable[TrialRecord], history: History) -> dict[int, set[int]]:
    found = {trial.number: {trial.best_step} for trial in best if trial.state.ended}
    for number, steps in history.inherited().items():
        if history.trials[number].state.ended:
            found.setdefault(number, set()).update(steps)
    return found


def _counts(trial: TrialRecord) -> bool:
    """Return True when the trial takes part in the history's ranking."""
    spoilt = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
    return not spoilt and math.isfinite(trial.best_loss) and trial.repeats < 0


def _key(trial: TrialRecord) -> _Key:
    return (trial.best_loss if _counts(trial) else math.inf, trial.number)
