"""Pruning by a signed-rank test, for objectives that report one value for each instance of a problem."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.checking import at_least, fraction
from luthier.compat.optuna.frozen_trial import FrozenTrial
from luthier.compat.optuna.pruning import BasePruner, sign_of
from luthier.errors import LuthierWarning, StudyError

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study


@dataclass(frozen=True, kw_only=True)
class WilcoxonPruner(BasePruner):
    """Prunes what is worse than the best trial, by a signed-rank test over their common steps.

    Wilcoxon 1945, one-sided. A trial whose average is at least as good as the best trial's goes on.

    Attributes:
        p_threshold: the trial is pruned when the test's p is below.
        n_startup_steps: common steps before which nothing is pruned; two at least.

    Raises:
        StudyError: a number out of its range.
    """

    p_threshold: float = 0.1
    n_startup_steps: int = 2

    def __post_init__(self) -> None:
        """Check the settings."""
        at_least(self, n_startup_steps=0)
        fraction("WilcoxonPruner", "p_threshold", self.p_threshold)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the test says so."""
        own = trial.intermediate_values
        try:
            best = study.best_trial
        except StudyError:
            return False
        if not own or not self._comparable(trial) or not self._comparable(best):
            return False
        sign = sign_of(study)
        others = best.intermediate_values
        differences = [sign * (own[step] - others[step]) for step in own if step in others]
        if len(differences) < max(2, self.n_startup_steps):
            return False
        if _average(own, sign) <= _average(others, sign):
            return False
        from scipy.stats import wilcoxon  # heavy, and only for this pruner

        test: Any = wilcoxon(differences, alternative="greater", zero_method="zsplit")
        return bool(test.pvalue < self.p_threshold)

    def _comparable(self, trial: FrozenTrial) -> bool:
        """Return whether a trial has values, all of them finite; warn where not."""
        values = trial.intermediate_values.values()
        if values and all(map(math.isfinite, values)):
            return True
        lack = "has a value that is not finite" if values else "has reported nothing"
        warnings.warn(
            f"Trial {trial.number} {lack}: WilcoxonPruner cannot compare with it, and prunes nothing.",
            LuthierWarning,
            stacklevel=4,
        )
        return False


def _average(values: dict[int, float], sign: float) -> float:
    return sign * sum(values.values()) / len(values)


__all__ = ["WilcoxonPruner"]
