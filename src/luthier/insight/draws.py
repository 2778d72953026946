"""What trials come to at one number of epochs, so that values of a hyperparameter are compared fairly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from luthier.insight.order_statistics import all_of_one
from luthier.study.records import TrialRecord, TrialState

ARRIVED, LEFT_BEHIND, SPOILT = 0, 1, 2


class Draw(NamedTuple):
    """A trial at the common number of epochs; the better of two sorts first.

    Attributes:
        fate: ``ARRIVED`` there, ``LEFT_BEHIND`` by a scheduler before, or ``SPOILT``: it diverged, or breaks a
            constraint on outcomes.
        loss: its best one until then, infinite unless it arrived.
        number: the trial's.
    """

    fate: int
    loss: float
    number: int


def reach(trial: TrialRecord, *, alone: bool) -> float:
    """Return how many epochs a trial was trained; infinite where more would change nothing.

    Args:
        trial: that is asked about.
        alone: whether whoever was stopped was so because it stood still, and the others did not matter.
    """
    still = alone and trial.state is TrialState.STOPPED
    return math.inf if trial.impossible or still else trial.step


def draw(trial: TrialRecord, epochs: int, *, alone: bool) -> Draw | None:
    """Return what a trial is at so many epochs; None for one that may still get there, or ended by itself.

    One that was left behind has had its share of the budget: without it a value whose trials are mostly
    stopped early would be judged by the few that were not.
    """
    if trial.impossible or trial.violation:
        return Draw(SPOILT, math.inf, trial.number)
    if reach(trial, alone=alone) >= epochs:
        steps = zip(trial.steps, trial.losses, strict=True)
        best = min((loss for step, loss in steps if step <= epochs), default=math.inf)
        return Draw(ARRIVED, best, trial.number)
    left_behind = trial.state in (TrialState.STOPPED, TrialState.PAUSED)
    return Draw(LEFT_BEHIND, math.inf, trial.number) if left_behind else None


def by_chance(one: Sequence[Draw], other: Sequence[Draw]) -> float:
    """Return how likely chance alone gives one of two values so many of the best trials of both.

    Args:
        one: its trials, the best first.
        other: those of the other value, which *one* is said to beat.
    """
    first = other[0]
    ahead = sum((each.fate, each.loss) < (first.fate, first.loss) for each in one)
    return all_of_one(len(one), len(other), ahead)
