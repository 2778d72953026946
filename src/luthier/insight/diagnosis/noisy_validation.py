"""The validation metric jumps because the validation set is too small, not because the net does."""

from __future__ import annotations

import numpy as np

from luthier.insight.diagnosis.curves import Array, Curves
from luthier.insight.diagnosis.finding import Finding, Kind, confidence
from luthier.insight.diagnosis.shape import finite, jitter, late

JUMPS = 0.01  # of accuracy, from epoch to epoch
FEW = 80  # examples
_ACTION = (
    "Validate on more examples (some thousands tell 1 % apart) or by cross-validation; until then "
    "do not choose between trials that differ by less than {error:.1%}"
)


def noisy_validation(curves: Curves) -> Finding | None:
    """Return whether the validation accuracy is too coarse to choose by.

    An accuracy on n examples is a multiple of 1/n, and its standard error is √(p(1-p)/n). The rule
    finds the smallest n that fits all values, and fires where n is small and the accuracy jumps
    (Tuning Playbook: "excessive step-to-step variance ... small validation set").
    """
    values = finite(curves.validation_metric)
    if len(values) < 5 or not curves.is_accuracy:
        return None
    count = examples(values, FEW)
    jumps = jitter(late(values, 2 / 3))
    if count is None or jumps <= JUMPS:
        return None
    share = float(np.clip(np.mean(late(values)), 0.01, 0.99))
    error = float(np.sqrt(share * (1 - share) / count))
    seen = (
        f"the validation {curves.metric} jumps by {jumps:.1%} from epoch to epoch and moves in steps "
        f"of 1/{count}: a standard error of {error:.1%}"
    )
    return Finding(
        Kind.NOISY_VALIDATION, None, seen, _ACTION.format(error=2 * error),
        confidence(jumps, JUMPS), {"jumps": jumps, "examples": count, "error": error},
    )  # fmt: skip


def examples(values: Array, most: int = 2000) -> int | None:
    """Return the smallest n of which all *values* are multiples of 1/n, None if there is none to *most*.

    Rounding to five digits is forgiven.
    """
    counts = np.arange(2, most + 1)[:, None]
    scaled = counts * np.unique(values)
    fits = np.all(np.abs(scaled - np.round(scaled)) <= 1e-5 * counts + 1e-9, axis=1)
    return int(counts[int(np.argmax(fits)), 0]) if fits.any() else None
