"""Successive halving (Jamieson & Talwalkar 2016; Li et al. 2018, section 3.1): one bracket."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from luthier.schedule.brackets import judge, left_behind, next_move, within
from luthier.schedule.hyperband import check_ladder, deepest, ladder
from luthier.schedule.settings import whole
from luthier.study.history import History
from luthier.study.protocols import Bracket, Limits, Move, Plan, Verdict
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class SuccessiveHalving:
    """*trials* configurations begin; the best 1/factor of each rung train factor times longer.

    The ladder has s + 1 rungs, s = ⌊log_factor (epochs / minimum)⌋, or as many as *trials* configurations can
    climb: 10 of them begin with 9 of 81 epochs, so that one is left to train them all. Limits of the study
    that hold fewer configurations cut it: the rungs that nobody would reach are left out.

    Attributes:
        epochs: epochs of those that reach the last rung.
        trials: configurations that begin; by default as many as the study's limits have room for, and
            factor**s where it has none, so that one is left at the end.
        factor: η; 2 carries the top half forward, 3 the top third.
        minimum: epochs of the first rung at the least; by default the ladder goes down to about 1.
    """

    epochs: int
    trials: int | None = None
    factor: int = 3
    minimum: int = 1
    in_any_order: ClassVar[bool] = True  # a rung is judged when all of it is there
    ends_by_its_plan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole or below what it can be, or a first rung above the
                last one.
        """
        whole(self, factor=2, trials=1)
        check_ladder(self)

    @property
    def promotes(self) -> bool:
        """Return True: the best of a rung go on from their checkpoints."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return the bracket within the limits."""
        return Plan(_within(self, limits))

    def next(self, history: History, limits: Limits) -> Move:
        """Fill the bracket, then promote from decided rungs."""
        return next_move(_within(self, limits), history, limits)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause the trial at the end of its rung."""
        return judge(self.epochs, trial)

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials that did not make it to the next rung."""
        return left_behind(_within(self, limits), history, limits)


@lru_cache(maxsize=64)
def _within(settings: SuccessiveHalving, limits: Limits) -> tuple[Bracket, ...]:
    epochs, factor = settings.epochs, settings.factor
    s = deepest(epochs, factor, settings.minimum)
    if settings.trials is not None:
        s = min(s, deepest(settings.trials, factor))

    def begun_by(trials: int) -> Bracket:
        return ladder(0, s, trials, epochs, factor)

    trials = settings.trials or _room(begun_by, limits) or factor**s
    return within([begun_by(trials)], limits, lambda _, fewer: begun_by(fewer))


def _room(begun_by: Callable[[int], Bracket], limits: Limits) -> int | None:
    """Return how many configurations may begin within *limits*, at least 1; None without limits."""
    if limits.epochs is None:
        return limits.trials
    most = limits.epochs if limits.trials is None else min(limits.trials, limits.epochs)
    fits = range(1, most + 1)
    return max(1, bisect_right(fits, limits.epochs, key=lambda n: begun_by(n).epochs))
