"""Successive halving (Jamieson & Talwalkar 2016; Li et al. 2018, section 3.1): one bracket."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from luthier.errors import StudyError
from luthier.schedule.brackets import judge, left_behind, next_move, within
from luthier.schedule.hyperband import check_ladder, deepest, ladder
from luthier.study.history import History
from luthier.study.protocols import Bracket, Limits, Move, Plan, Verdict
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class SuccessiveHalving:
    """*trials* configurations begin; the best 1/factor of each rung train factor times longer.

    Attributes:
        epochs: epochs of those that reach the last rung.
        trials: configurations that begin; by default factor**s, so that one is left at the end.
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
            StudyError: a number below what it can be, or a first rung above the last one.
        """
        check_ladder("Successive halving", self.epochs, self.factor, self.minimum)
        if self.trials is not None and self.trials < 1:
            raise StudyError(f"Successive halving: trials must be at least 1, got {self.trials}.")

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
        whole, *_ = _within(self, Limits())
        return judge(whole.rungs[-1].step, trial)

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials that did not make it to the next rung."""
        return left_behind(_within(self, limits), history, limits)


@lru_cache(maxsize=64)
def _within(settings: SuccessiveHalving, limits: Limits) -> tuple[Bracket, ...]:
    s = deepest(settings.epochs // settings.minimum, settings.factor)

    def shrink(bracket: Bracket, trials: int) -> Bracket:
        return ladder(bracket.index, s, trials, settings.epochs, settings.factor)

    whole = ladder(0, s, settings.trials or settings.factor**s, settings.epochs, settings.factor)
    return within([whole], limits, shrink)
