"""The training loss levels off high: the net cannot fit even what it is shown."""

from __future__ import annotations

from luthier.insight.diagnosis.chance import untrained_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.shape import end, finite

HIGH = 0.22  # of the loss of guessing
HIGH_IF_UNKNOWN = 0.3  # of the first training loss, where the number of classes is unknown
ABOVE_ATTAINABLE = 1.6  # times what comparable runs have reached
GAP = 0.9  # of the training loss: validation further above than that is variance rather than bias
LEARNED = 0.9  # of the loss of guessing: the validation loss must be below
_ACTION = (
    "Take a larger net (more units, then more layers), regularise less, look for layers that do not "
    "train; if other trials of this size do better, it is the learning rate"
)


def underfitting(curves: Curves) -> Finding | None:
    """Return whether the run has levelled off with a high training loss and a small gap.

    High bias (Ng, Machine Learning Yearning, ch. 20-25; Smith 2018, section 3): the training error
    is far from what can be had, and larger than what validation adds to it. What can be had is the lowest
    training loss of comparable runs (``curves.attainable``); without them, a share of guessing.
    """
    losses = finite(curves.train_loss)
    if len(losses) < 5:
        return None
    last, level = end(losses), untrained_loss(curves)
    bound = (HIGH_IF_UNKNOWN if curves.chance is None else HIGH) * level
    if curves.attainable is not None:
        bound = max(ABOVE_ATTAINABLE * curves.attainable, 0.02 * level)
    if last <= bound:
        return None
    validation = finite(curves.validation_loss)
    gap = (end(validation) - last) / last if len(validation) else 0.0
    if gap > GAP or (len(validation) and end(validation) > LEARNED * level):
        return None
    seen = f"the training loss levels off at {last:.3g}"
    if curves.attainable is not None:
        seen += f", where another trial reached {curves.attainable:.3g}"
    else:
        seen += f", {100 * last / level:.0f} % of what guessing gives"
    if len(validation):
        seen += f", and the validation loss is {100 * gap:+.0f} % from it"
    return Finding(
        Kind.UNDERFITTING, None, seen, _ACTION, confidence(last, bound),
        {"end": last, "level": level, "gap": gap},
    )  # fmt: skip
