"""What a script's ``fit`` or ``run_trial`` returned, as metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from luthier.compat.keras_tuner.errors import FatalTypeError
from luthier.compat.keras_tuner.objective import DEFAULT, Objective, meant
from luthier.errors import StudyError


def counts(outcome: Any) -> bool:
    """Return whether *outcome* is a score of somebody's own: no history, whose epochs say it all."""
    if isinstance(outcome, list):
        return any(map(counts, outcome))
    return outcome is not None and not isinstance(outcome, keras.callbacks.History)


def scored(outcome: Any, objectives: Sequence[Objective], where: str) -> dict[str, Any]:
    """Return the metrics in *outcome*, the objectives among them.

    Raises:
        FatalTypeError: it is nothing of the kind.
        StudyError: an objective is missing.
    """
    found = metrics_of(outcome, objectives, where)
    if lacking := [o.name for o in objectives if o.name not in found]:
        raise StudyError(
            f"{where} has no metric {lacking[0]!r}, which is the objective: it has {sorted(found)}."
            f"{meant(lacking[0], found)}"
        )
    return found


def metrics_of(outcome: Any, objectives: Sequence[Objective], where: str) -> dict[str, Any]:
    """Return the metrics in *outcome*: of a history those of its best epoch, of a list their means.

    Raises:
        FatalTypeError: it is nothing of the kind, or has a name where no objective was given.
    """
    if outcome is None:
        raise FatalTypeError(
            f"{where} returned None, and nothing was reported. Did you forget to return the metric? "
            f"Expected {_expected(objectives)}."
        )
    if isinstance(outcome, list):
        parts = [metrics_of(part, objectives, where) for part in outcome]
        if not parts:
            raise FatalTypeError(f"{where} returned []: expected {_expected(objectives)}.")
        return {name: sum(p[name] for p in parts) / len(parts) for name in parts[0]}
    if _is_number(outcome) and len(objectives) == 1:
        return {objectives[0].name: float(outcome)}
    named = objectives[0].name != DEFAULT
    if named and isinstance(outcome, keras.callbacks.History):
        return _best_epoch(outcome.history, objectives[0])
    if isinstance(outcome, Mapping) and (named or DEFAULT in outcome):
        return dict(outcome)
    raise FatalTypeError(f"{where} returned {outcome!r}: expected {_expected(objectives)}.")


def _best_epoch(history: Mapping[str, list[float]], objective: Objective) -> dict[str, Any]:
    values = history.get(objective.name) or [0.0]
    pick = max if objective.direction == "max" else min
    at = pick(range(len(values)), key=values.__getitem__)
    return {name: column[at] for name, column in history.items() if at < len(column)}


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _expected(objectives: Sequence[Objective]) -> str:
    if objectives[0].name == DEFAULT:
        return "a single number, to be minimized, as there is no objective="
    if len(objectives) > 1:
        return f"a dictionary with {[o.name for o in objectives]}"
    name = objectives[0].name
    return f"a number, a dictionary with {name!r}, a keras History, or a list of them"
