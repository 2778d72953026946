"""Optuna's pruners by name: Luthier's rules, asked when ``trial.should_prune()`` is called."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.schedule import ASHA, MedianStopping, Patience
from luthier.study.history import History
from luthier.study.protocols import Fate
from luthier.study.records import TrialRecord

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study
    from luthier.compat.optuna.trial import FrozenTrial

_NO_END = 10**9  # epochs: an objective knows its own length
_HIGHEST_RUNG = 10**7


class BasePruner:
    """Judges a trial after its last report; your own may define ``prune(study, trial)``."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether *trial* is to be pruned."""
        return bool(self.against(study.curves(), trial))

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Return in words why the trial is to be pruned, '' when it is not.

        Args:
            curves: the intermediate values of all trials; their steps count from 1.
            trial: the trial.
        """
        raise NotImplementedError

    @staticmethod
    def record(curves: History, trial: FrozenTrial) -> TrialRecord:
        """Return the trial's own curve."""
        return curves.trials[trial.number]


class NopPruner(BasePruner):
    """Prunes nothing."""

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Return ''."""
        return ""


@dataclass(frozen=True)
class PercentilePruner(BasePruner):
    """Prunes what is worse than a percentile of the runs before it: Luthier's ``MedianStopping``."""

    percentile: float
    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1
    n_min_trials: int = 1

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Return what the rule says."""
        ended = sum(other.state.ended for other in curves.trials)
        record = self.record(curves, trial)
        if ended < self.n_startup_trials or not record.steps or record.step <= self.n_warmup_steps:
            return ""
        if (record.step - self.n_warmup_steps - 1) % max(1, self.interval_steps):
            return ""
        rule = MedianStopping(
            epochs=_NO_END, grace=0, minimum=self.n_min_trials, percentile=self.percentile
        )
        return rule.against(curves, record)


class MedianPruner(PercentilePruner):
    """Prunes what is worse than the median of the runs before it."""

    def __init__(
        self,
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        n_min_trials: int = 1,
    ) -> None:
        super().__init__(50.0, n_startup_trials, n_warmup_steps, interval_steps, n_min_trials)


@dataclass(frozen=True)
class SuccessiveHalvingPruner(BasePruner):
    """Asynchronous successive halving without pauses: Luthier's ``ASHA(stops=True)``."""

    min_resource: int | str = "auto"
    reduction_factor: int = 4
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Return what the rule says."""
        lowest = self.min_resource if isinstance(self.min_resource, int) else 1
        lowest *= self.reduction_factor**self.min_early_stopping_rate
        highest = lowest
        while highest * self.reduction_factor <= _HIGHEST_RUNG:
            highest *= self.reduction_factor
        record = self.record(curves, trial)
        if not record.steps:
            return ""
        rule = ASHA(epochs=highest, factor=self.reduction_factor, minimum=lowest, stops=True)
        verdict = rule.judge(curves, record)
        return verdict.reason if verdict.fate is Fate.STOP else ""


class HyperbandPruner(SuccessiveHalvingPruner):
    """One bracket of it, the most aggressive: ASHA does as well as all of them (Li et al. 2020)."""

    def __init__(
        self,
        min_resource: int = 1,
        max_resource: int | str = "auto",
        reduction_factor: int = 3,
        bootstrap_count: int = 0,
    ) -> None:
        super().__init__(min_resource, reduction_factor, 0, bootstrap_count)


@dataclass(frozen=True)
class PatientPruner(BasePruner):
    """Lets *wrapped_pruner* prune only what has not become better for a while."""

    wrapped_pruner: BasePruner | None
    patience: int
    min_delta: float = 0.0

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Return what both rules say."""
        record = self.record(curves, trial)
        if not record.steps:
            return ""
        # Optuna looks at one step more than the patience.
        rule = Patience(epochs=_NO_END, grace=0, patience=self.patience + 1, better=self.min_delta)
        still = rule.against(curves, record)
        if not still or self.wrapped_pruner is None:
            return still
        return self.wrapped_pruner.against(curves, trial)


@dataclass(frozen=True)
class ThresholdPruner(BasePruner):
    """Prunes what leaves the bounds."""

    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0
    interval_steps: int = 1

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Return which bound the last value leaves."""
        step = trial.last_step
        if step is None or step < self.n_warmup_steps:
            return ""
        if (step - self.n_warmup_steps) % max(1, self.interval_steps):
            return ""
        value = trial.intermediate_values[step]
        low = -math.inf if self.lower is None else self.lower
        high = math.inf if self.upper is None else self.upper
        return "" if low <= value <= high else f"{value:g} at step {step} is not in [{low}, {high}]"


@dataclass(frozen=True)
class WilcoxonPruner(BasePruner):
    """Prunes what is worse than the best trial, by a signed-rank test over their common steps."""

    p_threshold: float = 0.1
    n_startup_steps: int = 2

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the test says so (Wilcoxon 1945; one-sided)."""
        own = trial.intermediate_values
        done = [
            t
            for t in study.get_trials(deepcopy=False)
            if t.state.name == "COMPLETE" and t.value is not None
        ]
        if len(own) < max(2, self.n_startup_steps) or not done:
            return False
        sign = -1.0 if study.direction.name == "MAXIMIZE" else 1.0
        best: Any = min(done, key=lambda t: sign * (t.value or 0.0))
        differences = [
            sign * (value - best.intermediate_values[step])
            for step, value in own.items()
            if step in best.intermediate_values
        ]
        if len(differences) < max(2, self.n_startup_steps) or not any(differences):
            return False
        from scipy.stats import wilcoxon  # heavy, and only for this pruner

        test: Any = wilcoxon(differences, alternative="greater", zero_method="zsplit")
        return float(test.pvalue) < self.p_threshold and sum(differences) > 0

    def against(self, curves: History, trial: FrozenTrial) -> str:
        """Refuse: it needs the study."""
        raise TypeError("WilcoxonPruner cannot be wrapped: use it by itself.")


__all__ = [
    "BasePruner",
    "HyperbandPruner",
    "MedianPruner",
    "NopPruner",
    "PatientPruner",
    "PercentilePruner",
    "SuccessiveHalvingPruner",
    "ThresholdPruner",
    "WilcoxonPruner",
]
