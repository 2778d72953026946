"""Luthier: hyperparameter tuning for deep neural nets, as a craft a program can follow.

Everything public is listed here and imported when it is first used, so that ``import luthier`` costs
milliseconds and brings in no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from luthier.version import __version__

if TYPE_CHECKING:
    from luthier.app.result import Result
    from luthier.app.tune import tune
    from luthier.client import report
    from luthier.errors import (
        Infeasible,
        LuthierError,
        LuthierWarning,
        SpaceError,
        StudyError,
        StudyFinished,
    )
    from luthier.run.opening import open_study as open
    from luthier.run.simulation import heavy_tailed, simulate
    from luthier.schedule import Hyperband, MedianStopping, SuccessiveHalving
    from luthier.search import Grid, RandomSearch, Sobol
    from luthier.space import Bool, Choice, Constant, Float, HyperParameters, Int, Space
    from luthier.study import Study, Trial

_PUBLIC = {
    "Bool": "luthier.space",
    "Choice": "luthier.space",
    "Constant": "luthier.space",
    "Float": "luthier.space",
    "Grid": "luthier.search",
    "Hyperband": "luthier.schedule",
    "HyperParameters": "luthier.space",
    "Infeasible": "luthier.errors",
    "Int": "luthier.space",
    "LuthierError": "luthier.errors",
    "LuthierWarning": "luthier.errors",
    "MedianStopping": "luthier.schedule",
    "RandomSearch": "luthier.search",
    "Result": "luthier.app.result",
    "Sobol": "luthier.search",
    "Space": "luthier.space",
    "SpaceError": "luthier.errors",
    "Study": "luthier.study",
    "StudyError": "luthier.errors",
    "StudyFinished": "luthier.errors",
    "SuccessiveHalving": "luthier.schedule",
    "Trial": "luthier.study",
    "heavy_tailed": "luthier.run.simulation",
    "open": "luthier.run.opening:open_study",
    "report": "luthier.client",
    "simulate": "luthier.run.simulation",
    "tune": "luthier.app.tune",
}
_MODULES = (
    "craft",
    "datasets",
    "insight",
    "jax",
    "keras",
    "lightgbm",
    "lightning",
    "plot",
    "run",
    "schedule",
    "search",
    "sklearn",
    "torch",
    "track",
    "transformers",
    "xgboost",
)

__all__ = [
    "Bool",
    "Choice",
    "Constant",
    "Float",
    "Grid",
    "HyperParameters",
    "Hyperband",
    "Infeasible",
    "Int",
    "LuthierError",
    "LuthierWarning",
    "MedianStopping",
    "RandomSearch",
    "Result",
    "Sobol",
    "Space",
    "SpaceError",
    "Study",
    "StudyError",
    "StudyFinished",
    "SuccessiveHalving",
    "Trial",
    "__version__",
    "heavy_tailed",
    "open",
    "report",
    "simulate",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        module, _, attribute = _PUBLIC[name].partition(":")
        value = getattr(import_module(module), attribute or name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"luthier.{name}")
    raise AttributeError(f"module 'luthier' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, *_MODULES])
