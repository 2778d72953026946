"""Pictures of a study as matplotlib figures, for notebooks and for the report.

Every function takes a study or its history (``workers`` and ``spent``: a study, whose log they read) and
returns a ``matplotlib.figure.Figure`` that belongs to nobody: no window opens, and
``figure.savefig("name.svg")`` writes it. The numbers are those that the dashboard's page draws. Pictures
need ``pip install "luthier[plot]"``; without it each raises StudyError.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.plot.answers import enough, importance, interactions, isolation
    from luthier.plot.compared import compare
    from luthier.plot.contoured import contour
    from luthier.plot.laddered import ladder
    from luthier.plot.learning import curves
    from luthier.plot.objectives import front
    from luthier.plot.parallels import parallel
    from luthier.plot.progressing import progress
    from luthier.plot.raced import race
    from luthier.plot.rates import learning_rate
    from luthier.plot.sliced import slices
    from luthier.plot.spaces import space
    from luthier.plot.trained import budgets
    from luthier.plot.working import spent, workers

_HOME = {
    "budgets": "trained",
    "compare": "compared",
    "contour": "contoured",
    "curves": "learning",
    "enough": "answers",
    "front": "objectives",
    "importance": "answers",
    "interactions": "answers",
    "isolation": "answers",
    "ladder": "laddered",
    "learning_rate": "rates",
    "parallel": "parallels",
    "progress": "progressing",
    "race": "raced",
    "slices": "sliced",
    "space": "spaces",
    "spent": "working",
    "workers": "working",
}

__all__ = [
    "budgets",
    "compare",
    "contour",
    "curves",
    "enough",
    "front",
    "importance",
    "interactions",
    "isolation",
    "ladder",
    "learning_rate",
    "parallel",
    "progress",
    "race",
    "slices",
    "space",
    "spent",
    "workers",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
