"""KerasTuner's door: ``import luthier.compat.keras_tuner as keras_tuner``, and the script runs on Luthier.

A project's folder holds a study of Luthier's. ``docs/migration.md`` lists what is supported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from luthier.version import __version__

if TYPE_CHECKING:
    from luthier.compat.keras_tuner.hypermodel import HyperModel
    from luthier.compat.keras_tuner.hyperparameters import HyperParameter, HyperParameters
    from luthier.compat.keras_tuner.objective import Objective
    from luthier.compat.keras_tuner.oracles import Oracle
    from luthier.compat.keras_tuner.trial import Trial, TrialStatus
    from luthier.compat.keras_tuner.tuner import Tuner
    from luthier.compat.keras_tuner.tuners import (
        BayesianOptimization,
        GridSearch,
        Hyperband,
        RandomSearch,
    )

_HOME = {
    "BayesianOptimization": "tuners",
    "GridSearch": "tuners",
    "HyperModel": "hypermodel",
    "HyperParameter": "hyperparameters",
    "HyperParameters": "hyperparameters",
    "Hyperband": "tuners",
    "Objective": "objective",
    "Oracle": "oracles",
    "RandomSearch": "tuners",
    "Trial": "trial",
    "TrialStatus": "trial",
    "Tuner": "tuner",
}
_MODULES = ("errors", "oracles", "tuners")

__all__ = [
    "BayesianOptimization",
    "GridSearch",
    "HyperModel",
    "HyperParameter",
    "HyperParameters",
    "Hyperband",
    "Objective",
    "Oracle",
    "RandomSearch",
    "Trial",
    "TrialStatus",
    "Tuner",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"luthier.compat.keras_tuner.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"luthier.compat.keras_tuner.{name}")
    raise AttributeError(
        f"luthier.compat.keras_tuner has no {name!r}: docs/migration.md lists what it has."
    )
