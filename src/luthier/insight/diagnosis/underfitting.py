"""The training loss levels off high: the net cannot fit even what it is shown."""

from __future__ import annotations

import math

import numpy as np

from luthier.insight.diagnosis.chance import untrained_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.noisy_validation import noisy_validation
from luthier.insight.diagnosis.shape import end, finite, smoothed

HIGH = 0.2  # of the loss of guessing
HIGH_IF_UNKNOWN = 0.24  # of the first training loss, where the number of classes is unknown
HIGH_IF_COARSE = 0.34  # the same as HIGH where a small validation set leaves the gap in doubt
HIGH_IF_BIAS_ALONE = 0.105  # the same where the gap is below NO_GAP: no error is variance
NO_GAP = 0.03  # of the training loss
UNSURE_HIGH = 0.065  # the same where the net is mostly right but UNSURE times less sure of it
UNSURE, MOSTLY_RIGHT = 5.0, 0.9  # loss over -ln(accuracy); accuracy
STILL_FALLS = 0.13  # of the training loss, in the last third: it has not levelled off
ABOVE = 1.6  # times the training loss of another run: that one fits far better
ABOVE_BY = 0.05  # and by so much of the loss of guessing: small losses differ by large factors
GAP = 1.4  # of the training loss: validation further above than that is variance rather than bias
LEARNED = 0.9  # of the loss of guessing: the validation loss must be below
EASIER = 0.15  # of the training loss: validation was once so far below it, see _by_heart
BEGINNING = 2  # epochs in which a training loss averaged meanwhile is too high
_ACTION = (
    "Take a larger net (more units, then more layers), regularise less, look for layers that do not "
    "train; if other trials of this size do better, it is the learning rate"
)


def underfitting(curves: Curves) -> Finding | None:
    """Return whether the run has levelled off with a high training loss and a small gap.

    High bias (Ng, Machine Learning Yearning, ch. 20-25; Smith 2018, section 3): the training error
    is far from what can be had, and larger than what validation adds to it. What can be had is what
    runs have had that validate better (``curves.attainable``; a small validation set does not tell which
    do), or else a share of guessing; less where validation is no worse, so that all of the error is bias,
    and where nearly all answers are right but none is sure, as strong regularisation makes them.
    """
    losses = finite(curves.train_loss)
    if len(losses) < 5:
        return None
    last, level = end(losses), untrained_loss(curves)
    bound = (HIGH_IF_UNKNOWN if curves.chance is None else HIGH) * level
    validation = finite(curves.validation_loss)
    gap = (end(validation) - last) / last if len(validation) and last else 0.0
    coarse = noisy_validation(curves) is not None
    if coarse:
        bound = max(bound, HIGH_IF_COARSE * level)
    elif gap < NO_GAP:
        bound = HIGH_IF_BIAS_ALONE * level
    if _unsure(curves, last):
        bound = UNSURE_HIGH * level
    attainable = math.inf if coarse or curves.attainable is None else curves.attainable
    outdone = last > _far_above(attainable, level)
    if outdone:
        bound = _far_above(attainable, level)
    fell = float(losses[2 * len(losses) // 3]) - last
    if not level or last <= bound or fell > STILL_FALLS * last:
        return None
    if gap > GAP or (len(validation) and end(validation) > LEARNED * level):
        return None
    if not outdone and _by_heart(curves):
        return None
    seen = f"the training loss levels off at {last:.3g}"
    if outdone:
        seen += f", where another trial reached {attainable:.3g}"
    else:
        seen += f", {100 * last / level:.0f} % of what guessing gives"
    if len(validation):
        seen += f", and the validation loss is {100 * gap:+.0f} % from it"
    numbers = {"end": last, "level": level, "gap": gap}
    if outdone:
        numbers["attainable"] = attainable
    return Finding(Kind.UNDERFITTING, None, seen, _ACTION, confidence(last, bound), numbers)


def _by_heart(curves: Curves) -> bool:
    """Return whether the validation loss was once far below the training loss, and ends above it.

    Then the training examples are the harder ones, most often as some of their labels are wrong, and the
    net learns those one by one (Arpit et al. 2017, "A closer look at memorization in deep networks",
    section 4; Zhang et al. 2017, section 2.2): it lacks no capacity. A net that is too small, or
    regularised too much, never gets from there to here.
    """
    if curves.train_loss is None or curves.validation_loss is None:
        return False
    known = np.isfinite(curves.train_loss) & np.isfinite(curves.validation_loss)
    train, validation = curves.train_loss[known], curves.validation_loss[known]
    gaps = smoothed((validation - train) / np.maximum(train, 1e-9))[BEGINNING:]
    return len(gaps) > 0 and float(gaps.min()) < -EASIER and end(gaps) > NO_GAP


def _far_above(loss: float, level: float) -> float:
    return max(ABOVE * loss, loss + ABOVE_BY * level)


def _unsure(curves: Curves, loss: float) -> bool:
    """Return whether nearly all answers are right and none is sure: strong regularisation does that."""
    accuracy = finite(curves.train_metric)
    if not curves.is_accuracy or len(accuracy) < 5:
        return False
    right = min(end(accuracy), 0.999)
    return right > MOSTLY_RIGHT and loss > UNSURE * -math.log(right)
