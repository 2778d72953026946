"""How much each parameter matters; measured by Luthier's own ``insight.importance``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.frozen import name_of
from luthier.insight import importance

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study


def get_param_importances(
    study: Study, *, evaluator: Any = None, params: Sequence[str] | None = None, **_: Any
) -> dict[str, float]:
    """Return each parameter's share of what all of them matter, the largest first; they add up to 1."""
    found = {name_of(i.name): i.share for i in importance(study.own.refresh())}
    kept = {name: share for name, share in found.items() if params is None or name in params}
    total = sum(kept.values()) or 1.0
    ordered = sorted(kept.items(), key=lambda pair: -pair[1])
    return {name: share / total for name, share in ordered}
