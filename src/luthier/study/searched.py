"""A history without its repetitions: what a searcher and the search's scheduler see of a study.

Repetitions are data of a race. To the search they would be the same configurations over and over, trials
that use up its budget, and a ranking of lucky seeds.
"""

from __future__ import annotations

from typing import Any, SupportsIndex

from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

_SHARED = (
    *(
        "cursor",
        "created",
        "space",
        "formerly",
        "changes",
        "widening",
        "limits",
        "budgeted",
        "opened_for",
        "until",
        "held",
        "held_why",
        "race",
    ),
    *(
        "earlier",
        "queue",
        "infeasible",
        "best",
        "late_reports",
        "enqueued",
        "last_lease",
        "last_time",
    ),
    *("stages", "test_reads", "notes", "attributes"),
)
_BY_STATE = {
    TrialState.QUEUED: ("active", "queued"),
    TrialState.RUNNING: ("active",),
    TrialState.PAUSED: ("paused",),
}


def searched(history: History) -> History:
    """Return *history* itself while it has no repetitions, else what is left without them.

    The trials are the same objects under the same numbers; their count is that of the search.
    """
    if not history.repetitions:
        return history
    if not isinstance(history.search, _Searched):
        history.search = _Searched(history)
    history.search.follow()
    return history.search


class _Numbered(list[TrialRecord]):
    """Trials in the order of their numbers, found by number though some are missing."""

    def __init__(self) -> None:
        super().__init__()
        self.by_number: dict[int, TrialRecord] = {}

    def append(self, trial: TrialRecord, /) -> None:
        super().append(trial)
        self.by_number[trial.number] = trial

    def __getitem__(self, at: Any, /) -> Any:
        """Return the trial of number *at*; negative numbers and slices are places, as in any list."""
        if isinstance(at, slice) or (isinstance(at, SupportsIndex) and int(at) < 0):
            return super().__getitem__(at)
        return self.by_number[int(at)]


class _Searched(History):
    """Follows a history; only ``follow`` changes it."""

    def __init__(self, whole: History) -> None:
        super().__init__()
        self._whole = whole
        self._taken = 0  # entries of ``touched`` of the whole history
        self.trials = _Numbered()
        self._known = self.trials.by_number

    def follow(self) -> None:
        """Take in what has changed since the last call."""
        whole = self._whole
        if self.cursor == whole.cursor:
            return
        for name in _SHARED:
            setattr(self, name, getattr(whole, name))
        self.epochs = whole.epochs - whole.repeated_epochs
        self.heirs = {n: t for n, t in whole.heirs.items() if t.repeats < 0}
        for number in dict.fromkeys(whole.touched[self._taken :]):
            if number not in whole.repetitions:
                self._take(whole.trials[number])
        self._taken = len(whole.touched)
        self.errors = {n: t for n, t in whole.errors.items() if t.repeats < 0}
        self.ended = len(self.trials) - len(self.active) - len(self.paused)

    def _take(self, trial: TrialRecord) -> None:
        number = trial.number
        self.touched.append(number)
        if number not in self._known:
            self.trials.append(trial)
            self.brackets.setdefault(trial.bracket, []).append(trial)
        places = _BY_STATE.get(trial.state, ())
        for name in ("active", "queued", "paused"):
            trials: dict[int, TrialRecord] = getattr(self, name)
            if name in places:
                trials[number] = trial
            else:
                trials.pop(number, None)
