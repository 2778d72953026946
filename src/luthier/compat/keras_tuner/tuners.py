"""The tuners by name."""

from __future__ import annotations

from typing import Any

from luthier.compat.keras_tuner import oracles
from luthier.compat.keras_tuner.oracles import Oracle
from luthier.compat.keras_tuner.tuner import Tuner

_OF_ORACLES = (
    *("seed", "hyperparameters", "tune_new_entries", "allow_new_entries"),
    *("max_retries_per_trial", "max_consecutive_failed_trials"),
    *("num_initial_points", "alpha", "beta", "max_trials"),
    *("max_epochs", "factor", "hyperband_iterations"),
)


class _Named(Tuner):
    """A tuner whose oracle is told by its class; arguments go to whom they are for."""

    _oracle: type[Oracle] = Oracle

    def __init__(self, hypermodel: Any = None, objective: Any = None, *args: Any, **kwargs: Any):
        if args:  # the third place is max_trials, or max_epochs for Hyperband
            kwargs.setdefault(
                "max_epochs" if self._oracle is oracles.HyperbandOracle else "max_trials", args[0]
            )
        settings = {name: kwargs.pop(name) for name in _OF_ORACLES if name in kwargs}
        super().__init__(self._oracle(objective, **settings), hypermodel, **kwargs)


class RandomSearch(_Named):
    """Random search."""

    _oracle = oracles.RandomSearchOracle


class GridSearch(_Named):
    """Every combination."""

    _oracle = oracles.GridSearchOracle


class BayesianOptimization(_Named):
    """A Gaussian process."""

    _oracle = oracles.BayesianOptimizationOracle


class Hyperband(_Named):
    """Hyperband over epochs."""

    _oracle = oracles.HyperbandOracle


__all__ = ["BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch"]
