"""What a net that has learned nothing gets: the level that training has to leave."""

from __future__ import annotations

import math

from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.shape import finite


def guessing_loss(curves: Curves) -> float | None:
    """Return the cross-entropy of guessing, in nats; None where nothing tells it, or the loss is another one.

    ln K where the number of classes K is known. Else minus the logarithm of the lowest accuracy of
    the first three epochs: a classifier that guesses is right in 1/K of the cases, and one that has
    begun to learn in more, so that this is ln K or less.
    """
    if not curves.is_cross_entropy:
        return None
    if curves.chance is not None:
        return curves.chance
    if not curves.is_accuracy:
        return None
    shown = curves.train_metric if curves.train_metric is not None else curves.validation_metric
    early = finite(shown)[:3]
    return -math.log(min(max(float(early.min()), 1e-3), 0.5)) if len(early) else None


def untrained_loss(curves: Curves) -> float:
    """Return the level that training starts from, in the unit of the loss; NaN where nothing tells it.

    ``guessing_loss`` where the number of classes is known; else the larger of that and the first
    training loss, which an epoch's averaging or a fast start makes too low, never by much.
    """
    guessing, losses = guessing_loss(curves), finite(curves.train_loss)
    exact = curves.chance is not None and guessing is not None
    if exact or not len(losses):
        return math.nan if guessing is None else guessing
    return max(float(losses[0]), guessing or 0.0)
