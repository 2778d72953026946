"""The training loss goes up again for good, which no sound optimizer does."""

from __future__ import annotations

import numpy as np

from luthier.insight.diagnosis.chance import untrained_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.shape import finite, jitter, late, smoothed

RISES = 0.05  # of the level of guessing (or of the first loss)
JITTERS = 2.0  # and so many times the curve's noise from epoch to epoch
_ACTION = (
    "Look for a bug: the gradient's or the loss's sign, a learning rate that grows, data or labels "
    "that change while training, state restored wrongly. If there is none, lower the learning rate"
)


def train_rising(curves: Curves) -> Finding | None:
    """Return whether the training loss stays well above what it had reached.

    All of the last epochs have to be above, so that a loss that only jumps does not count (Tuning
    Playbook, "examining the training curves").
    """
    losses = finite(curves.train_loss)
    if len(losses) < 4:
        return None
    calm = smoothed(losses)
    at = int(np.argmin(calm))
    rise = float(losses[-max(2, len(losses) // 10) :].min()) - float(calm[at])
    level = untrained_loss(curves) or float(np.ptp(calm))  # 0: a loss with no natural zero
    if rise <= max(RISES * level, JITTERS * jitter(late(losses))):
        return None
    epoch, last = int(curves.epochs[at]), float(losses[-1])
    seen = f"the training loss was {calm[at]:.3g} at epoch {epoch} and is {last:.3g} at the end"
    numbers = {"lowest": float(calm[at]), "end": last, "rise": rise / level}
    return Finding(
        Kind.TRAIN_LOSS_RISING, epoch, seen, _ACTION, confidence(rise / level, RISES), numbers
    )
