"""All rules on one run, in the order in which a person would ask."""

from __future__ import annotations

from collections.abc import Callable

from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.diverging import diverging
from luthier.insight.diagnosis.finding import Finding, Kind
from luthier.insight.diagnosis.noisy_validation import noisy_validation
from luthier.insight.diagnosis.not_learning import not_learning
from luthier.insight.diagnosis.overfitting import overfitting
from luthier.insight.diagnosis.saturated import saturated
from luthier.insight.diagnosis.step_too_large import step_too_large
from luthier.insight.diagnosis.still_improving import still_improving
from luthier.insight.diagnosis.train_rising import train_rising
from luthier.insight.diagnosis.underfitting import underfitting

Rule = Callable[[Curves], Finding | None]

ALONE: tuple[Rule, ...] = (diverging, train_rising, not_learning)
"""What one of these finds, the others cannot be asked about: the first found is the only one."""

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
    overfits the variance comes first, unless another run fits better and validates better.
    """
    for rule in ALONE:
        if found := rule(curves):
            return (found,)
    several = [found for rule in TOGETHER if (found := rule(curves))]
    kinds = {found.kind for found in several}
    unknown: set[Kind] = set()
    if Kind.STILL_IMPROVING in kinds:
        unknown |= {Kind.UNDERFITTING, Kind.SATURATED}
    outdone = any("attainable" in found.numbers for found in several)
    if Kind.STEP_TOO_LARGE in kinds or (Kind.OVERFITTING in kinds and not outdone):
        unknown.add(Kind.UNDERFITTING)
    return tuple(found for found in several if found.kind not in unknown)
