"""The loss is not finite, or far above that of guessing."""

from __future__ import annotations

import numpy as np

from luthier.insight.diagnosis.chance import guessing_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.shape import end, finite

ABOVE_GUESSING = 2.0  # times the loss of guessing, and rising
FAR_ABOVE = 3.0  # times it, whichever way it goes
ABOVE_START = 2.0  # times the first loss, where the loss of guessing is not known
_ACTION = (
    "Divide the learning rate by 3 to 10, or warm it up over the first epochs and clip the "
    "gradient's norm; if it still blows up, look for infinite inputs or a wrong sign in the loss"
)


def diverging(curves: Curves) -> Finding | None:
    """Return whether the run blew up (Tuning Playbook, "optimization failures").

    A reported loss that is not finite; or a training loss that ends far above the loss of guessing,
    where a net that learns nothing at all would stay.
    """
    for name, values in (("training loss", curves.train_loss), ("validation", curves.judged)):
        if values is None or not len(values):
            continue
        broken = np.isinf(values)
        if broken.any():
            epoch = int(curves.epochs[int(np.argmax(broken))])
            seen = f"the {name} is not finite at epoch {epoch}"
            return Finding(Kind.DIVERGING, epoch, seen, _ACTION, 0.99, {"epoch": epoch})
    losses = finite(curves.train_loss)
    if len(losses) < 2:
        return None
    last, guessing = end(losses), guessing_loss(curves)
    # From a loss of 0 or less it has to rise by more than it ever fell: twice -3 is no rise at all.
    bound = losses[0] + (ABOVE_START - 1) * max(abs(losses[0]), losses[0] - losses.min())
    if guessing is not None:
        rising = last >= losses[0]
        bound = (ABOVE_GUESSING if rising else FAR_ABOVE) * guessing
    if last <= bound:
        return None
    epoch = int(curves.epochs[int(np.argmax(losses > bound))])
    against = "guessing" if guessing is not None else "its first epoch"
    level = guessing if guessing is not None else float(losses[0])
    seen = f"the training loss ends at {last:.4g}, where {against} gives {level:.3g}"
    numbers = {"end": last, "level": level}
    return Finding(Kind.DIVERGING, epoch, seen, _ACTION, confidence(last, bound), numbers)
