"""The run ended while its validation loss was still on its way down."""

from __future__ import annotations

import numpy as np

from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.shape import jitter, late, smoothed

GAINS = 0.03  # of the lowest value, in the last quarter
JITTERS = 2.5  # what the last eighth gained exceeds so many times the curve's noise
_ACTION = (
    "Train longer, half as long again to begin with; where the training loss falls slowly and "
    "smoothly a higher learning rate gets there sooner"
)


def still_improving(curves: Curves) -> Finding | None:
    """Return whether more epochs would have lowered the validation loss (or else the training loss).

    The best value of the last quarter is well below the best before, and so is that of its second
    half below that of its first, by more than noise explains: a rate that decays to nothing ends flat,
    and a small validation set finds lower values by luck (Tuning Playbook,
    "choosing the number of steps"; Smith 2018, section 3).
    """
    shown = curves.judged if curves.judged is not None else curves.train_loss
    if shown is None:
        return None
    known = np.isfinite(shown)
    losses, epochs = smoothed(shown[known]), curves.epochs[known]
    count = len(losses)
    if count < 5:
        return None
    quarter, eighth = max(2, round(count / 4)), max(1, round(count / 8))
    before, between = float(losses[:-quarter].min()), float(losses[:-eighth].min())
    lowest = float(losses.min())
    scale = max(abs(lowest), 1e-9)
    gain, newest = (before - lowest) / scale, (between - lowest) / scale
    noise = jitter(late(shown[known])) / scale
    if gain <= GAINS or newest <= max(GAINS / 4, JITTERS * noise):
        return None
    epoch = int(epochs[int(np.argmin(losses))])
    seen = f"the best value is that of epoch {epoch} of {epochs[-1]}; "
    seen += f"the last quarter gained {100 * gain:.0f} %"
    return Finding(
        Kind.STILL_IMPROVING, epoch, seen, _ACTION, confidence(gain, GAINS),
        {"gain": gain, "newest": newest},
    )  # fmt: skip
