"""The answers of ``luthier.insight``, asked for and drawn in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from luthier import insight
from luthier.insight.trials import Source


def importance(
    source: Source, method: Literal["fanova", "ped_anova"] = "fanova", good: float | None = None
) -> Any:
    """Return each hyperparameter's share with its interval, as bars; see ``insight.importance``."""
    return insight.picture(insight.importance(source, method, good)).figure


def interactions(source: Source, good: float | None = None) -> Any:
    """Return the shares of pairs as a triangle of cells; see ``insight.interactions``."""
    return insight.picture(insight.interactions(source, good)).figure


def isolation(source: Source, scientific: str, nuisance: Sequence[str] | None = None) -> Any:
    """Return the best over all others at each value of *scientific*; see ``insight.isolation``."""
    return insight.picture(insight.isolation(source, scientific, nuisance)).figure


def enough(source: Source, more: int | None = None) -> Any:
    """Return the best of n trials with its quartiles and the seed noise; see ``insight.enough``."""
    return insight.picture(insight.enough(source, more)).figure
