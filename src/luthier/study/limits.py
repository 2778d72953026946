"""When a study stops proposing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from luthier.study.following import followed
from luthier.study.records import TrialRecord, TrialState

if TYPE_CHECKING:
    from luthier.study.history import History


@dataclass(frozen=True)
class Limits:
    """How much a study may try. ``None`` is no limit.

    Attributes:
        trials: trials in all, those of earlier sessions included.
        epochs: epochs of all trials together.
    """

    trials: int | None = None
    epochs: int | None = None


def epochs_left(history: History, limits: Limits, steps: Sequence[int] = ()) -> float:
    """Return the epochs that are neither trained nor promised to a running trial.

    Args:
        history: the study.
        limits: its limits.
        steps: ends of rungs; a trial is promised no more than the rung that it is in.
    """
    if limits.epochs is None:
        return float("inf")
    ends = tuple(steps)
    promised = followed(history, ("promised", ends), lambda: _Promised(ends))
    return limits.epochs - history.epochs - promised.total


@dataclass(eq=False)
class _Promised:
    """The epochs that each trial with a job is to train still, and their sum: there may be thousands."""

    steps: Sequence[int]
    total: int = 0
    of: dict[int, int] = field(default_factory=dict[int, int])

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        self.total -= self.of.pop(trial.number, 0)
        if trial.state not in (TrialState.QUEUED, TrialState.RUNNING):
            return
        to_step = trial.to_step or trial.step + 1
        rung = bisect_right(self.steps, trial.step)
        end = min(to_step, self.steps[rung]) if rung < len(self.steps) else to_step
        self.of[trial.number] = end - trial.step
        self.total += self.of[trial.number]
