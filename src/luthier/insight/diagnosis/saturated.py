"""The validation loss was as good as it would get long before the end."""

from __future__ import annotations

import numpy as np

from luthier.insight.diagnosis.curves import Array, Curves
from luthier.insight.diagnosis.finding import Finding, Kind
from luthier.insight.diagnosis.shape import jitter, late, smoothed

WITHIN = 0.04  # of the best value, or within its noise from epoch to epoch
FELL = 0.06  # of the later mean: where means fall by so much, noise does not excuse better values
EARLY = 1 / 3  # of the epochs
FEWEST = 12  # epochs: of fewer, a third is nothing to spare
_ACTION = (
    "Train shorter, about {epoch} epochs, and spend the rest on more trials; or let the learning "
    "rate fall over all of the epochs so that they are of use"
)


def saturated(curves: Curves) -> Finding | None:
    """Return since when the run gained nothing, if that was in its first third.

    Tuning Playbook, "choosing the number of steps": when the best step is always early, train shorter.
    Of a noisy curve a later value may be better by its noise, as long as the curve's mean does not fall.
    """
    judged = curves.judged
    if judged is None:
        return None
    known = np.isfinite(judged)
    losses, epochs = smoothed(judged[known]), curves.epochs[known]
    if len(losses) < FEWEST:
        return None
    third = losses[: int(len(losses) * EARLY)]
    lowest = float(losses.min())
    behind = (float(third.min()) - lowest) / max(abs(lowest), 1e-9)
    within = max(WITHIN, jitter(late(judged[known])) / max(abs(lowest), 1e-9))
    if behind > within or (behind > WITHIN and _fell(judged[known]) > FELL):
        return None
    at = int(np.argmax(third <= lowest + within * abs(lowest)))
    epoch = int(epochs[at])
    later = 100 * (float(losses[at]) - lowest) / max(abs(lowest), 1e-9)
    seen = f"from epoch {epoch} to {epochs[-1]} the best value improved by {later:.1f} %"
    numbers = {"behind": behind, "share": epoch / float(epochs[-1])}
    return Finding(
        Kind.SATURATED, epoch, seen, _ACTION.format(epoch=epoch), 0.5 + 0.49 * (1 - behind / within),
        numbers,
    )  # fmt: skip


def _fell(values: Array) -> float:
    """Return by how much means fell after the first third, which its last half stands for; of the lower."""
    third = len(values) // 3
    later = min(float(values[third : 2 * third].mean()), float(values[2 * third :].mean()))
    return (float(values[third // 2 : third].mean()) - later) / max(abs(later), 1e-9)
