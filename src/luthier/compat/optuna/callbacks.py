"""Callbacks for ``study.optimize``."""

from __future__ import annotations

from collections.abc import Container

from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState
from luthier.compat.optuna.study import Study


class MaxTrialsCallback:
    """Stops when so many trials have ended in *states*, those of other processes included."""

    def __init__(
        self, n_trials: int, states: Container[TrialState] | None = (TrialState.COMPLETE,)
    ) -> None:
        self._n_trials = n_trials
        self._states = states

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Look, and stop."""
        if len(study.get_trials(False, self._states)) >= self._n_trials:
            study.stop()


__all__ = ["MaxTrialsCallback"]
