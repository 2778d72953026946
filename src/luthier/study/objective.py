"""What is better: the metric that a study is judged by, and its direction."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, SupportsFloat, cast

from luthier.errors import StudyError, nearest

Direction = Literal["maximize", "minimize"]
_GAINS = re.compile(
    r"(^|_)(acc|accuracy|auc|auroc|f1|precision|recall|r2|iou|dice|bleu)(_|$|@)", re.I
)
_TURNED = re.compile(r"(^|_)(neg|negative|minus|gap|drop|reduction|inverse|gain)(_|$)", re.I)
_COSTS = re.compile(r"(^|_)(loss|error|err|mse|mae|rmse|nll|perplexity|latency)(_|$)", re.I)


@dataclass(frozen=True)
class Objective:
    """One named metric and whether more of it is better."""

    metric: str
    direction: Direction

    def loss(self, value: float) -> float:
        """Return *value* as something to minimise; what is not finite is worse than all that is."""
        if not math.isfinite(value):
            return math.inf
        return -value if self.direction == "maximize" else value

    def __str__(self) -> str:
        return f"{self.direction} {self.metric}"


def checked_metrics(metrics: Mapping[str, Any], objective: Objective) -> dict[str, float]:
    """Return *metrics* as plain floats.

    Accepts Python and numpy numbers and the scalars of every framework. NaN and infinity pass: a
    diverged trial is information.

    Raises:
        StudyError: a value that is no number (a string, None, an array), or no objective among them.
    """
    numbers = {name: _number(name, value) for name, value in metrics.items()}
    if objective.metric not in numbers:
        raise StudyError(
            f"The study is to {objective}, but the report has no metric {objective.metric!r}: "
            f"it has {_listed(numbers)}.{nearest(objective.metric, numbers)} "
            "Report it under that name, or make the study with the name that you report."
        )
    return numbers


def doubt(objective: Objective) -> str:
    """Return a sentence where a metric's name speaks for the other direction, else ''."""
    if _TURNED.search(objective.metric):
        return ""
    gain, cost = (found.search(objective.metric) for found in (_GAINS, _COSTS))
    if objective.direction == "minimize" and gain and not cost:
        return f"{objective} looks for the worst: of {gain[2]} more is better; maximize={objective.metric!r}"
    if objective.direction == "maximize" and cost and not gain:
        return f"{objective} looks for the worst: of {cost[2]} less is better; minimize={objective.metric!r}"
    return ""


def named_metrics(
    metrics: Any, named: Mapping[str, Any], call: str, objective: Objective
) -> dict[str, Any]:
    """Return metrics that were given as a mapping, by name, or in both ways.

    Raises:
        StudyError: *metrics* is no mapping; *call* says how it should have been written.
    """
    if metrics is not None and not isinstance(metrics, Mapping):
        raise StudyError(
            f"Metrics are given by name: expected {call.format(objective.metric)}, got {metrics!r}."
        )
    return {**(metrics or {}), **named}


def _number(name: str, value: Any) -> float:
    if isinstance(value, str | bytes | bool) or value is None or isinstance(value, complex):
        raise StudyError(
            f"Metric {name!r} must be a number, got {value!r} ({type(value).__name__}). "
            f"Report it as a float, such as {name}=0.93."
        )
    try:
        return float(cast(SupportsFloat, value))
    except (TypeError, ValueError) as error:
        raise StudyError(
            f"Metric {name!r} must be one number, got {value!r} ({type(value).__name__}). "
            "Average it to a scalar before you report it."
        ) from error


def _listed(names: Iterable[str]) -> str:
    quoted = [repr(name) for name in names]
    return ", ".join(quoted) if quoted else "none at all"
