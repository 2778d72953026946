"""Full training with a rule that abandons a trial: what all such schedulers share."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.schedule.full import Full
from luthier.schedule.settings import whole
from luthier.study.history import History
from luthier.study.protocols import GO_ON, Fate, Limits, Move, Plan, Verdict
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class Stopping:
    """Trains every trial for *epochs* epochs unless its rule stops it.

    Attributes:
        epochs: epochs of a trial that is not abandoned.
        grace: steps before which nobody is abandoned.
        interval: steps between two looks at a trial, counted from the grace period's end.
    """

    epochs: int
    grace: int = 1
    interval: int = 1

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole, epochs or the interval below 1, or a negative grace
                period.
        """
        whole(self, epochs=1, grace=0, interval=1)

    @property
    def promotes(self) -> bool:
        """Return False: nothing is paused."""
        return False

    @property
    def first_look(self) -> int:
        """Return the step at which a trial is first compared."""
        return self.grace + self.interval

    def plan(self, limits: Limits) -> Plan | None:
        """Return the plan without any stop: an upper bound."""
        plan = Full(self.epochs).plan(limits)
        return None if plan is None else Plan(plan.brackets, at_most=True)

    def next(self, history: History, limits: Limits) -> Move:
        """Start a new trial while the limits hold."""
        return Full(self.epochs).next(history, limits)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Abandon the trial when the rule says so."""
        verdict = Full(self.epochs).judge(history, trial)
        if verdict.fate is not Fate.GO_ON or trial.step <= self.grace:
            return verdict
        before = trial.steps[-2] if len(trial.steps) > 1 else 0
        if self._looks_by(trial.step) == self._looks_by(before):
            return GO_ON
        reason = self.against(history, trial)
        return Verdict(Fate.STOP, reason) if reason else GO_ON

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return nobody: nothing is paused."""
        return []

    def against(self, history: History, trial: TrialRecord) -> str:
        """Return in words why *trial* should be abandoned after its last report, "" if it should not."""
        raise NotImplementedError

    def _looks_by(self, step: int) -> int:
        """Return how many looks are due by *step*; reports may come less often than they are."""
        return max(0, step - self.grace) // self.interval
