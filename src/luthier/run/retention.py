"""Which checkpoints are kept, so that disk use is bounded.

A trial that may go on keeps its newest and its best checkpoint: whoever writes them sees to that. An
ended trial keeps its best one if it is among the ``KEPT`` best that have ended, or, with several
objectives, on their front (``ON_FRONT`` of these do, spread over it); and those that another trial still
has to go on from. One that failed by a bug, or with its workers, goes on when the study is started again:
it counts among those that may. Where the best trials are raced, all finalists are among the best.
Repetitions keep none.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Iterable

from luthier.study.goals import joined_front
from luthier.study.history import History
from luthier.study.known import ranked_by
from luthier.study.records import TrialRecord

KEPT = 3
ON_FRONT = 16
KEEPERS = (
    f"the {KEPT} best trials, those on the front of several objectives, and those that may go on"
)


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
    """Says which ended trials keep checkpoints, again and again without ranking all trials each time.

    What has ended with a result stays as it is. So the best, and the front, are among those of the last
    time and the trials that were open then, are new, or lie on the disk.
    """

    def __init__(self) -> None:
        self._history: weakref.ref[History] | None = None
        self._leading: set[int] = set()  # the best of the last time
        self._front: list[TrialRecord] = []  # the whole of it, with several objectives
        self._open: set[int] = set()
        self._seen = 0
        self._count = KEPT

    def kept_steps(self, history: History, on_disk: Iterable[int]) -> dict[int, set[int]]:
        """Return the ended trials that keep checkpoints, each with the steps of those.

        Args:
            history: the study.
            on_disk: the trials with checkpoints. Of the front only these are chosen from: what was
                deleted does not come back.
        """
        trials, on_disk = history.trials, set(on_disk)
        count = kept(history)
        if self._history is not None and self._history() is history and count == self._count:
            new = range(self._seen, len(trials))
            numbers = sorted({*self._leading, *self._open, *on_disk, *new})
            known = [trials[n] for n in numbers if n < len(trials)]
            ended = [t for t in known if t.state.ended and history.counts_in_ranking(t)]
        else:
            ended = [trial for trial in history.ranking() if trial.state.ended]
            self._front = []
        best = heapq.nsmallest(count, ended, key=ranked_by)
        goals = history.goals
        if len(goals.objectives) > 1:  # the front of one is its best trial
            able = [trial for trial in ended if history.may_lead(trial)]
            self._front = joined_front(self._front, able, goals)
        self._history, self._count = weakref.ref(history), count
        self._leading = {trial.number for trial in best}
        self._open = {*history.active, *history.paused}
        self._seen = len(trials)
        spread = _spread([trial for trial in self._front if trial.number in on_disk], history)
        found = {trial.number: {trial.best_checkpoint} for trial in (*best, *spread)}
        for number, steps in history.inherited().items():
            if trials[number].state.ended:
                found.setdefault(number, set()).update(steps)
        return found


def _spread(front: list[TrialRecord], history: History) -> list[TrialRecord]:
    """Return at most ``ON_FRONT`` of the front: again and again the most crowded one is left out."""
    if len(front) <= ON_FRONT:
        return front
    import numpy as np

    from luthier.search.order import loneliness

    losses = np.array([history.goals.losses(trial) for trial in front])
    left = np.arange(len(front))
    while len(left) > ON_FRONT:
        left = np.delete(left, np.argmin(loneliness(losses[left])))
    return [front[int(n)] for n in left]
