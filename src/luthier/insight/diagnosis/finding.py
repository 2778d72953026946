"""What a rule found: in numbers, and in words for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What can ail a run."""

    DIVERGING = "diverging"
    NOT_LEARNING = "not learning"
    TRAIN_LOSS_RISING = "train loss rising"
    STEP_TOO_LARGE = "step too large late"
    UNDERFITTING = "underfitting"
    OVERFITTING = "overfitting"
    STILL_IMPROVING = "still improving"
    SATURATED = "saturated early"
    NOISY_VALIDATION = "noisy validation"


@dataclass(frozen=True)
class Finding:
    """One diagnosis of one run.

    Attributes:
        kind: what it is.
        epoch: since which epoch, counted from 1; None where no epoch stands out.
        evidence: what was seen, in words, with its numbers and epochs.
        action: what to do next, in words.
        confidence: 0 to 1: how far the evidence is beyond the rule's threshold, 0.5 at it.
        numbers: the numbers of the evidence, by name.
    """

    kind: Kind
    epoch: int | None
    evidence: str
    action: str
    confidence: float
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}. {self.action}"


def confidence(value: float, threshold: float) -> float:
    """Return how sure a rule is whose *value* exceeds its *threshold*: 0.5 at it, 0.75 at twice it."""
    if value <= 0 or threshold <= 0:
        return 0.5
    return min(0.99, value / (value + threshold))
