"""The validation loss turns and rises while the training loss goes on falling."""

from __future__ import annotations

import math

import numpy as np

from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.noisy_validation import examples
from luthier.insight.diagnosis.shape import end, finite, jitter, late, lowest_at, smoothed

RISES = 0.06  # of its lowest value
DESPITE = 0.15  # of it, where the accuracy has got better all the same
BETTER = 0.02  # of accuracy
NATS = 4.0  # over all validation examples: one that is answered wrongly for sure costs as much
JITTERS = 2.0  # the rise exceeds so many standard errors of the end's mean
_ACTION = (
    "Regularise more (weight decay, dropout, data augmentation, label smoothing), get more data, or "
    "take a smaller net; until then keep the weights of epoch {epoch}"
)
_KEEPS = (
    ". The accuracy does not fall with it: the net gets too sure of itself rather than worse, and "
    "label smoothing helps first"
)


def overfitting(curves: Curves) -> Finding | None:
    """Return from which epoch on the run overfits.

    High variance (Ng, Machine Learning Yearning, ch. 20-27), in its form that depends on no
    threshold for the gap: the validation loss ends above its lowest (Smith 2018, arXiv:1803.09820,
    section 3, figure 1; Tuning Playbook, "examining the training curves").
    """
    judged = curves.judged
    if judged is None:
        return None
    known = np.isfinite(judged)
    losses, epochs = judged[known], curves.epochs[known]
    if len(losses) < 5:
        return None
    at = lowest_at(losses)
    lowest, last = float(smoothed(losses).min()), end(losses)
    rise = (last - lowest) / max(abs(lowest), 1e-9)
    error = jitter(late(losses)) / math.sqrt(max(2, round(len(losses) / 10)))
    gained = _gained(curves, int(epochs[at]))
    if rise <= (DESPITE if gained > BETTER else RISES) or last - lowest <= JITTERS * error:
        return None
    if not _training_goes_on(curves, int(epochs[at])) or _of_few(curves, last - lowest):
        return None
    epoch = int(epochs[at])
    if curves.validation_loss is not None:
        seen = (
            f"the validation loss was {lowest:.3g} at epoch {epoch} and ends {rise:.0%} above that"
        )
    else:
        seen = f"the validation {curves.metric} was best at epoch {epoch} and has got worse since"
    keeps = _KEEPS if gained >= 0 else ""
    numbers = {"lowest": lowest, "end": last, "rise": rise}
    return Finding(
        Kind.OVERFITTING, epoch, seen + keeps, _ACTION.format(epoch=epoch), confidence(rise, RISES),
        numbers,
    )  # fmt: skip


def _of_few(curves: Curves, rise: float) -> bool:
    """Return whether one or two validation examples may be all of the rise of the validation loss.

    A mean over n examples rises by *rise* when a single one's loss rises by n times that: on a small set
    and from a low loss a single example that the net gets sure of, wrongly, looks like a turn.
    """
    if curves.validation_loss is None or curves.validation_metric is None or not curves.is_accuracy:
        return False
    count = examples(finite(curves.validation_metric))
    return count is not None and count * rise < NATS


def _training_goes_on(curves: Curves, epoch: int) -> bool:
    """Return whether the training loss fell on after *epoch*; True where there is none."""
    if curves.train_loss is None:
        return True
    known = np.isfinite(curves.train_loss)
    before = curves.train_loss[known & (curves.epochs <= epoch)]
    after = curves.train_loss[known & (curves.epochs > epoch)]
    return len(before) > 0 and len(after) > 0 and end(after) < float(before[-1])


def _gained(curves: Curves, epoch: int) -> float:
    """Return by how much the validation accuracy rose after *epoch*; -infinity if none is known."""
    metric = curves.validation_metric
    if curves.validation_loss is None or metric is None or not curves.is_accuracy:
        return -math.inf
    known = np.isfinite(metric)
    before = smoothed(metric[known])[curves.epochs[known] <= epoch]
    after = metric[known & (curves.epochs > epoch)]
    return end(after) - float(before[-1]) if len(before) and len(after) else -math.inf
