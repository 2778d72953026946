"""What the runs of a study have reached together: by it each of them can be measured."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.shape import lowest_at, smoothed

BETTER = 0.93  # of a validation loss: by so much must another run be better to set a measure


class Best(NamedTuple):
    """A run at its best.

    Attributes:
        validation: its lowest validation loss, no lucky epoch.
        train: the training loss that it had then.
    """

    validation: float
    train: float


@dataclass(frozen=True)
class Reached:
    """What runs have reached that saw the same data.

    Attributes:
        validation: their lowest validation losses, rising, shape (runs,).
        train: with each the lowest training loss of all runs that validate as well, shape (runs,).
    """

    validation: Sequence[float]
    train: Sequence[float]

    @staticmethod
    def by(runs: Iterable[Curves]) -> Reached:
        """Return what *runs* have reached; those without both losses do not count."""
        known = sorted(found for run in runs if (found := best(run)) is not None)
        lowest = accumulate((run.train for run in known), min)
        return Reached([run.validation for run in known], list(lowest))

    def measure(self, run: Curves) -> Curves:
        """Return *run* with what others have reached that validate better as its ``attainable``."""
        own = best(run)
        if own is None or own.validation <= 0:
            return run
        better = bisect_left(self.validation, BETTER * own.validation)
        return replace(run, attainable=self.train[better - 1] if better else None)


def best(run: Curves) -> Best | None:
    """Return *run* at its best; None where it lacks the training or the validation loss."""
    if run.validation_loss is None or run.train_loss is None:
        return None
    known = np.isfinite(run.validation_loss) & np.isfinite(run.train_loss)
    validation, train = run.validation_loss[known], smoothed(run.train_loss[known])
    if not len(validation):
        return None
    at = lowest_at(validation)
    return Best(float(smoothed(validation).min()), float(train[at]))
