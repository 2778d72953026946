"""What a study taught: importance, isolation, significance, diagnosis, and the report.

Everything public is listed here and imported when it is first used. No module is named like a function.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.insight import boundary
    from luthier.insight.diagnosis import diagnose
    from luthier.insight.expecting import Contour, Slice, contour, response
    from luthier.insight.importances import Importance, importance
    from luthier.insight.interacting import Interaction, interactions
    from luthier.insight.isolating import Isolated, Isolation, Roles, isolation
    from luthier.insight.pictures import picture
    from luthier.insight.planner import Costs, Estimate, measured, plan, plans
    from luthier.insight.seed_noise import Noise, noise
    from luthier.insight.sufficiency import BestOf, Enough, best_of, enough

_HOME = {
    "BestOf": "sufficiency",
    "Contour": "expecting",
    "Costs": "planner",
    "Enough": "sufficiency",
    "Estimate": "planner",
    "Importance": "importances",
    "Interaction": "interacting",
    "Isolated": "isolating",
    "Isolation": "isolating",
    "Noise": "seed_noise",
    "Roles": "isolating",
    "Slice": "expecting",
    "best_of": "sufficiency",
    "contour": "expecting",
    "diagnose": "diagnosis",
    "enough": "sufficiency",
    "importance": "importances",
    "interactions": "interacting",
    "isolation": "isolating",
    "measured": "planner",
    "noise": "seed_noise",
    "picture": "pictures",
    "plan": "planner",
    "plans": "planner",
    "response": "expecting",
}

__all__ = [
    "BestOf",
    "Contour",
    "Costs",
    "Enough",
    "Estimate",
    "Importance",
    "Interaction",
    "Isolated",
    "Isolation",
    "Noise",
    "Roles",
    "Slice",
    "best_of",
    "boundary",
    "contour",
    "diagnose",
    "enough",
    "importance",
    "interactions",
    "isolation",
    "measured",
    "noise",
    "picture",
    "plan",
    "plans",
    "response",
]


def __getattr__(name: str) -> Any:
    if name == "boundary":
        return import_module(f"{__name__}.boundary")
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
