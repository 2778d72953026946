"""KerasTuner's door: ``import luthier.compat.keras_tuner as keras_tuner``, and the script runs on Luthier.

A project's folder holds a study of Luthier's. ``docs/migration.md`` lists what is supported.
"""

from __future__ import annotations

from typing import Any

from luthier.compat.keras_tuner import errors, oracles, tuners
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
from luthier.version import __version__


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"luthier.compat.keras_tuner has no {name!r}: docs/migration.md lists what it has."
    )


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
    "errors",
    "oracles",
    "tuners",
]
