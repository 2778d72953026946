"""Optuna's pruners by name: they end the trials that Optuna's would end, at the same steps.

What an objective reports on its way need not be what it returns (another metric, another scale), so these
rules compare intermediate values alone, and know a trial by the steps that it reported itself.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.checking import (
    at_least,
    bound,
    one_of_kind,
    percentage,
)
from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState
from luthier.compat.optuna.halving import HyperbandPruner, SuccessiveHalvingPruner
from luthier.compat.optuna.missing import absent
from luthier.compat.optuna.pruning import BasePruner, sign_of
from luthier.compat.optuna.wilcoxon import WilcoxonPruner
from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

_COMPLETE = (TrialState.COMPLETE,)


class NopPruner(BasePruner):
    """Prunes nothing."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return False."""
        return False


@dataclass(frozen=True)
class PercentilePruner(BasePruner):
    """Prunes a trial whose best value so far is worse than a percentile of the completed trials there.

    Golovin et al. 2017, "Google Vizier", section 3.2.1, with the others' values at that step themselves in
    place of their running averages.

    Attributes:
        percentile: how many in a hundred of the others are better than the bar; 25 keeps the best quarter.
        n_startup_trials: trials that must have completed before anything is pruned.
        n_warmup_steps: the step from which on trials are judged.
        interval_steps: they are judged at the first report of every so many steps.
        n_min_trials: completed trials that must have reported the same step.

    Raises:
        StudyError: a number below what it can be, or a percentile that is none.
    """

    percentile: float
    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1
    n_min_trials: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        """Check the settings."""
        percentage(self, "percentile")
        at_least(self, n_startup_trials=0, n_warmup_steps=0, interval_steps=1, n_min_trials=1)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the best value by the last step is worse than the bar."""
        done = study.get_trials(deepcopy=False, states=_COMPLETE)
        step = trial.last_step
        if step is None or not done or len(done) < self.n_startup_trials:
            return False
        if not _is_due(step, trial.intermediate_values, self.n_warmup_steps, self.interval_steps):
            return False
        sign = sign_of(study)
        own = [sign * v for v in trial.intermediate_values.values() if not math.isnan(v)]
        if not own:
            return True
        others = [t.intermediate_values[step] for t in done if step in t.intermediate_values]
        losses = sorted(sign * value for value in others if not math.isnan(value))
        if len(others) < self.n_min_trials or not losses:
            return False
        return min(own) > _quantile(losses, self.percentile / 100)


class MedianPruner(PercentilePruner):
    """Prunes a trial whose best value so far is worse than the median of the completed trials there."""

    def __init__(
        self,
        n_startup_trials: int = 5,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        *,
        n_min_trials: int = 1,
    ) -> None:
        super().__init__(
            50.0, n_startup_trials, n_warmup_steps, interval_steps, n_min_trials=n_min_trials
        )


@dataclass(frozen=True)
class PatientPruner(BasePruner):
    """Lets *wrapped_pruner* prune only what has not become better for a while.

    Attributes:
        wrapped_pruner: asked then; None prunes at once.
        patience: the last patience + 1 reports are compared with those before them.
        min_delta: by how much the former must be worse than the latter.

    Raises:
        StudyError: a number below 0.
        TypeError: no pruner.
    """

    wrapped_pruner: BasePruner | None
    patience: int
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        at_least(self, patience=0)
        bound(self, "min_delta")
        if self.min_delta < 0:
            raise StudyError(f"PatientPruner: min_delta must be 0 or more, got {self.min_delta!r}.")
        given: Any = self.wrapped_pruner
        if given is not None and (isinstance(given, type) or not hasattr(given, "prune")):
            one_of_kind("PatientPruner: wrapped_pruner", given, BasePruner, "MedianPruner()")

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the last reports are worse, and the other rule says so, too."""
        sign = sign_of(study)
        losses = [sign * value for _, value in sorted(trial.intermediate_values.items())]
        recent = self.patience + 1
        before, after = (
            [loss for loss in part if not math.isnan(loss)]
            for part in (losses[:-recent], losses[-recent:])
        )
        if not before or not after or min(before) + self.min_delta >= min(after):
            return False
        return self.wrapped_pruner is None or self.wrapped_pruner.prune(study, trial)


@dataclass(frozen=True)
class ThresholdPruner(BasePruner):
    """Prunes what leaves the bounds, or is NaN.

    Attributes:
        lower: the least value that goes on; None for no such bound.
        upper: the largest one.
        n_warmup_steps: the step from which on trials are judged.
        interval_steps: they are judged at the first report of every so many steps.

    Raises:
        TypeError: no bound, or one that is no number.
        StudyError: *lower* above *upper*, or a number of steps below what it can be.
    """

    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0
    interval_steps: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.lower is None and self.upper is None:
            raise TypeError("ThresholdPruner(): expected lower=, upper=, or both.")
        for name in ("lower", "upper"):
            bound(self, name)
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise StudyError(
                f"ThresholdPruner: lower={self.lower!r} is above upper={self.upper!r}; did you mean "
                f"lower={self.upper!r}, upper={self.lower!r}?"
            )
        at_least(self, n_warmup_steps=0, interval_steps=1)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the last value leaves the bounds."""
        step = trial.last_step
        if step is None:
            return False
        if not _is_due(step, trial.intermediate_values, self.n_warmup_steps, self.interval_steps):
            return False
        value = trial.intermediate_values[step]
        low = -math.inf if self.lower is None else self.lower
        high = math.inf if self.upper is None else self.upper
        return not low <= value <= high  # NaN is nowhere between


def _is_due(step: int, steps: Collection[int], warmup: int, interval: int) -> bool:
    """Return whether *step* is the first one reported in its interval, counted from the warm-up on."""
    if step < warmup:
        return False
    begin = warmup + (step - warmup) // interval * interval
    return not any(begin <= other < step for other in steps)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the *share*-quantile of sorted values, between two of them on the line that joins these."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    if at == below or ordered[below] == ordered[above]:
        return ordered[below]
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


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
__getattr__ = absent("pruners", lambda: __all__)
