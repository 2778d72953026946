"""Late in training the loss jumps up and down instead of settling: the steps are too large."""

from __future__ import annotations

from luthier.insight.diagnosis.chance import untrained_loss
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.noisy_validation import noisy_validation
from luthier.insight.diagnosis.shape import finite, jitter, late, slope

JUMPS = 0.015  # of the training loss, from epoch to epoch, in the last half
FELT = 0.0055  # the same, of the loss of guessing: jumps between tiny losses do no harm
FELT_ALONE = 0.015  # the same, where a small validation set jumps by itself and cannot bear witness
VALIDATION_JUMPS = 0.03  # of the validation loss
STILL_FALLS = (
    0.8  # of its mean, in the last half: a training loss that falls by so much is on its way
)
_ACTION = (
    "Let the learning rate decay (cosine to zero, or a tenth of it for the last third), or lower it "
    "threefold; averaging the weights of the last epochs does the same"
)


def step_too_large(curves: Curves) -> Finding | None:
    """Return whether the loss is noisy late in training for want of a decaying learning rate.

    Both losses have to jump: steps that are too large throw the net about, which training and
    validation examples feel alike; and the training loss has to be past its fall. Tuning Playbook,
    "examining the training curves": high step-to-step variance late in training; Smith 2018, section
    4.1: too large a rate shows as a loss that no longer falls.
    """
    losses = late(finite(curves.train_loss))
    if len(losses) < 5:
        return None
    level = float(losses.mean())
    guessing = untrained_loss(curves)
    noise = jitter(losses)
    felt = FELT_ALONE if noisy_validation(curves) else FELT
    jumps = noise / max(abs(level), 1e-9)
    if jumps <= JUMPS or noise <= felt * guessing or -slope(losses) >= STILL_FALLS * level:
        return None
    validation = late(finite(curves.validation_loss))
    if len(validation) >= 5 and jitter(validation) <= VALIDATION_JUMPS * abs(validation.mean()):
        return None
    seen = f"in the last half the training loss jumps by {100 * jumps:.0f} % from epoch to epoch"
    return Finding(
        Kind.STEP_TOO_LARGE, None, seen, _ACTION, confidence(jumps, JUMPS), {"jumps": jumps}
    )
