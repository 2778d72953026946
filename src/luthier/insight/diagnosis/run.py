"""All rules on one run, in the order in which a person would ask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from luthier.insight.diagnosis.chance import untrained_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.diverging import diverging
from luthier.insight.diagnosis.finding import Finding, Kind
from luthier.insight.diagnosis.noisy_validation import noisy_validation
from luthier.insight.diagnosis.not_learning import not_learning
from luthier.insight.diagnosis.overfitting import overfitting
from luthier.insight.diagnosis.saturated import saturated
from luthier.insight.diagnosis.shape import finite, smoothed
from luthier.insight.diagnosis.step_too_large import step_too_large
from luthier.insight.diagnosis.still_improving import still_improving
from luthier.insight.diagnosis.train_rising import train_rising
from luthier.insight.diagnosis.underfitting import underfitting

Rule = Callable[[Curves], Finding | None]

LEARNED = 0.8  # of the loss of guessing: a training loss below it has learned

ALONE: tuple[Rule, ...] = (diverging, train_rising, not_learning)
"""What one of these finds, the others cannot be asked about, but for the two pairs in ``findings``."""

TOGETHER: tuple[Rule, ...] = (
    overfitting,
    underfitting,
    step_too_large,
    still_improving,
    saturated,
    noisy_validation,
)
"""A run that learns may show several of these."""


def findings(curves: Curves) -> tuple[Finding, ...]:
    """Return what the rules find in one run, the gravest first; nothing when it looks healthy.

    A run that is still improving cannot be said to underfit, or to be saturated, yet; one whose steps
    are too large cannot be said to underfit, as smaller steps may be all that it takes; and in one that
    overfits the variance comes first, unless another run fits better and validates better. One that
    diverges after it had learned has a rising loss as well: something changed while it trained; and
    a loss that rises may do so because the steps are too large.
    """
    for rule in ALONE:
        if found := rule(curves):
            also: Finding | None = None
            if found.kind is Kind.DIVERGING and _had_learned(curves):
                also = train_rising(curves)
            elif found.kind is Kind.TRAIN_LOSS_RISING:
                also = step_too_large(curves)
            return (found, also) if also else (found,)
    several = [found for rule in TOGETHER if (found := rule(curves))]
    kinds = {found.kind for found in several}
    unknown: set[Kind] = set()
    if Kind.STILL_IMPROVING in kinds:
        unknown |= {Kind.UNDERFITTING, Kind.SATURATED}
    outdone = any("attainable" in found.numbers for found in several)
    if Kind.STEP_TOO_LARGE in kinds or (Kind.OVERFITTING in kinds and not outdone):
        unknown.add(Kind.UNDERFITTING)
    return tuple(found for found in several if found.kind not in unknown)


def _had_learned(curves: Curves) -> bool:
    """Return whether the training loss, finite to its end, was once clearly below that of guessing."""
    losses = curves.train_loss
    if losses is None or np.isinf(losses).any():
        return False
    return smoothed(finite(losses)).min(initial=np.inf) < LEARNED * untrained_loss(curves)
