"""What a study taught: importance, isolation, significance, diagnosis, and the report."""

from __future__ import annotations

from luthier.insight import boundary
from luthier.insight.diagnosis import diagnose
from luthier.insight.enough import BestOf, Enough, best_of, enough
from luthier.insight.importance import Importance, importance
from luthier.insight.interactions import Interaction, interactions
from luthier.insight.isolation import Isolated, Isolation, Roles, isolation
from luthier.insight.noise import Noise, noise
from luthier.insight.pictures import picture
from luthier.insight.planner import Costs, Estimate, measured, plan, plans

__all__ = [
    "BestOf",
    "Costs",
    "Enough",
    "Estimate",
    "Importance",
    "Interaction",
    "Isolated",
    "Isolation",
    "Noise",
    "Roles",
    "best_of",
    "boundary",
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
]
