"""The training loss stays where guessing is."""

from __future__ import annotations

from luthier.insight.diagnosis.chance import guessing_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.shape import finite, smoothed

NEAR_GUESSING = 0.93  # of the loss of guessing
STANDS_STILL = 0.03  # of the level: a fall by less than this in the last two thirds is none
RARELY_RIGHT = 1.5  # -ln of an accuracy of 0.22
LOOKS_LIKE_GUESSING = (0.7, 1.4)  # loss over -ln(accuracy), where the number of classes is unknown
_ACTION = (
    "Raise the learning rate tenfold (a range test tells how far); if that changes nothing, look at "
    "the data and the labels, dead units, frozen layers and the initial weights: a net must be able "
    "to fit ten examples by heart"
)


def not_learning(curves: Curves) -> Finding | None:
    """Return whether the loss never leaves the level of guessing and stands still.

    The first of Ng's questions (Machine Learning Yearning, ch. 20): how far is the training error
    from what guessing gives? Without training curves it asks the validation loss.
    """
    shown = curves.train_loss if curves.train_loss is not None else curves.judged
    losses = finite(shown)
    if len(losses) < 3:
        return None
    calm = smoothed(losses)
    lowest = float(calm.min())
    guessing = guessing_loss(curves)
    level = guessing if guessing is not None else float(calm[0])
    if level <= 0:
        return None
    fell = (float(calm[: max(len(calm) // 3, 1)].min()) - lowest) / abs(level)
    if fell > STANDS_STILL or not _is_guessing(curves, lowest, guessing, float(calm[0])):
        return None
    where = f"guessing gives {level:.3g}" if guessing is not None else f"it began at {calm[0]:.3g}"
    seen = f"the loss never falls below {lowest:.3g} in {curves.epochs[-1]} epochs; {where}"
    numbers = {"lowest": lowest, "level": level, "fell": fell}
    sure = confidence(lowest / level, NEAR_GUESSING / 3) if guessing is not None else 0.6
    return Finding(Kind.NOT_LEARNING, 1, seen, _ACTION, sure, numbers)


def _is_guessing(curves: Curves, lowest: float, guessing: float | None, first: float) -> bool:
    if curves.train_loss is None and curves.validation_loss is None:
        return guessing is not None and lowest > 1 - 1.1 / (curves.classes or 2)
    if curves.chance is not None and guessing is not None:
        return lowest > NEAR_GUESSING * curves.chance
    if guessing is None:
        return first > 0.2 and lowest > (1 - STANDS_STILL) * first
    low, high = LOOKS_LIKE_GUESSING
    if low * guessing < lowest < high * guessing:
        return True
    still = lowest > (1 - STANDS_STILL) * first  # from the first epoch on, and hardly ever right
    return still and guessing > RARELY_RIGHT
