"""When a study stops proposing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    promised = 0
    for trial in history.active.values():
        to_step = trial.to_step or trial.step + 1
        rung = bisect_right(steps, trial.step)
        promised += (min(to_step, steps[rung]) if rung < len(steps) else to_step) - trial.step
    return limits.epochs - history.epochs - promised
