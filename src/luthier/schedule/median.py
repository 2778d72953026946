"""The median stopping rule (Golovin et al. 2017, "Google Vizier", section 3.2.1).

Abandon a trial at step s when its best objective by step s is strictly worse than the median of the
running averages up to step s of the other trials that have come as far.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from statistics import median

from luthier.errors import StudyError
from luthier.schedule.full import Full
from luthier.study.history import History
from luthier.study.protocols import GO_ON, Fate, Limits, Move, Plan, Verdict
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class MedianStopping:
    """Full training, cut short for what is worse than the median of the runs before it.

    Attributes:
        epochs: epochs of a trial that is not abandoned.
        grace: steps before which nobody is abandoned.
        minimum: other trials that must have come as far before anybody is abandoned.
    """

    epochs: int
    grace: int = 1
    minimum: int = 3
    _full: Full = field(init=False, repr=False, compare=False, default=Full())

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: epochs or minimum below 1, or a negative grace period.
        """
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("grace", self.grace, 0),
            ("minimum", self.minimum, 1),
        ):
            if value < least:
                raise StudyError(f"Median stopping: {name} must be at least {least}, got {value}.")
        object.__setattr__(self, "_full", Full(self.epochs))

    @property
    def promotes(self) -> bool:
        """Return False: nothing is paused."""
        return False

    def plan(self, limits: Limits) -> Plan | None:
        """Return the plan without any stop: an upper bound."""
        plan = self._full.plan(limits)
        return None if plan is None else Plan(plan.brackets, at_most=True)

    def next(self, history: History, limits: Limits) -> Move:
        """Start a new trial while the limits hold."""
        return self._full.next(history, limits)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Abandon the trial when the rule says so."""
        verdict = self._full.judge(history, trial)
        if verdict.fate is not Fate.GO_ON or trial.step <= self.grace:
            return verdict
        averages = [
            average
            for other in history.trials
            if other is not trial and (average := _running_average(other, trial.step)) is not None
        ]
        if len(averages) < self.minimum:
            return GO_ON
        bar = median(averages)
        if trial.best_loss <= bar:
            return GO_ON
        return Verdict(
            Fate.STOP,
            f"its best by epoch {trial.step}, {history.value(trial.best_loss):.4g}, is worse than "
            f"{history.value(bar):.4g}, the median of {len(averages)} earlier runs up to there",
        )

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return nobody: nothing is paused."""
        return []


def _running_average(trial: TrialRecord, step: int) -> float | None:
    """Return the mean loss of the reports up to *step*; None when the trial has not come so far."""
    if trial.step < step:
        return None
    reports = bisect_right(trial.steps, step)
    return trial.loss_sums[reports - 1] / reports if reports else math.inf
