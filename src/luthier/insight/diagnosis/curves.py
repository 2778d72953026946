"""The learning curves of one run, whatever of them was reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luthier.errors import StudyError

Array = NDArray[np.float64]


SHARES = ("accuracy", "acc", "top1", "balanced_accuracy")
OTHER_LOSSES = ("mse", "rmse", "mae", "perplexity", "ppl")
LEAST_OF_WRONG = (
    0.7  # of ln 2: an average over an epoch, and an accuracy after it, are not of one net
)
HUGE = 1e100  # beyond it a value is as good as infinite: no training gets there and back, its square overflows


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves by report, each of shape (n,), NaN where a report did not have it; any may be missing.

    Attributes:
        epochs: the epoch of each report, counted from 1, rising.
        train_loss: the loss that training lowers, on the training set.
        validation_loss: the same on the validation set.
        train_metric: what people read (accuracy), on the training set.
        validation_metric: the same on the validation set.
        metric: the bare name of that metric; ``SHARES`` are shares of right answers.
        loss: the bare name of the loss; ``OTHER_LOSSES`` are no cross-entropies.
        rises: whether more of it is better.
        classes: how many classes a classifier tells apart, None where nobody said.
        attainable: the lowest training loss of runs on the same data that validate better, at the epoch
            where they do; None where there is none.
    """

    epochs: NDArray[np.int64]
    train_loss: Array | None = None
    validation_loss: Array | None = None
    train_metric: Array | None = None
    validation_metric: Array | None = None
    metric: str = "accuracy"
    rises: bool = True
    classes: int | None = None
    attainable: float | None = None
    loss: str = "loss"

    @property
    def chance(self) -> float | None:
        """Return the cross-entropy of guessing evenly among the classes, ln K; None if unknown."""
        return math.log(self.classes) if self.classes else None

    @property
    def is_accuracy(self) -> bool:
        """True when the metric is a share of right answers: R², an AUC or a Dice lie in [0, 1] as well."""
        if self.metric not in SHARES and not self.metric.endswith("_accuracy"):
            return False
        shown = [m for m in (self.train_metric, self.validation_metric) if m is not None]
        values = np.concatenate(shown) if shown else np.empty(0)
        values = values[np.isfinite(values)]
        return self.rises and values.size > 0 and bool(np.all((values >= 0) & (values <= 1)))

    @property
    def is_cross_entropy(self) -> bool:
        """True when the loss can be a cross-entropy in nats, so that guessing has a level in it.

        By its name, and by its values: none is below 0, and each wrong answer costs ln 2 or more.
        """
        if self.loss in OTHER_LOSSES:
            return False
        for loss, share in (
            (self.train_loss, self.train_metric),
            (self.validation_loss, self.validation_metric),
        ):
            if loss is None:
                continue
            known = np.isfinite(loss)
            if np.any(loss[known] < 0):
                return False
            if share is None or not self.is_accuracy:
                continue
            known &= np.isfinite(share)
            least = LEAST_OF_WRONG * math.log(2) * (1 - share[known])
            if len(least) and np.median(loss[known] - least) < 0:
                return False
        return True

    @property
    def judged(self) -> Array | None:
        """Return what the run is judged by on held-out data, as something to minimise.

        The validation loss; where there is none the metric: 1 - accuracy, or minus what rises.
        """
        if self.validation_loss is not None:
            return self.validation_loss
        if self.validation_metric is None:
            return None
        if not self.rises:
            return self.validation_metric
        return (1.0 if self.is_accuracy else 0.0) - self.validation_metric


def curves(
    *,
    train_loss: Sequence[float] | Array | None = None,
    validation_loss: Sequence[float] | Array | None = None,
    train_metric: Sequence[float] | Array | None = None,
    validation_metric: Sequence[float] | Array | None = None,
    epochs: Sequence[int] | None = None,
    metric: str = "accuracy",
    rises: bool = True,
    classes: int | None = None,
    attainable: float | None = None,
    loss: str = "loss",
    nan_diverged: bool = True,
) -> Curves:
    """Return the curves of a run, which need not be in a study; one without any number counts as missing.

    The arguments are the attributes of ``Curves``. NaN says that nothing was measured.

    Args:
        nan_diverged: a training loss that is NaN to the end has diverged; False: it was not reported.

    Raises:
        StudyError: the curves differ in length, the epochs do not rise, or *classes* is below 2.
    """
    given = {
        "train_loss": train_loss,
        "validation_loss": validation_loss,
        "train_metric": train_metric,
        "validation_metric": validation_metric,
    }
    if train_loss is not None and nan_diverged:
        train_loss = np.array(train_loss, np.float64).ravel()
        measured = np.flatnonzero(np.isfinite(train_loss))
        train_loss[measured[-1] + 1 if len(measured) else 0 :] = np.inf
        given["train_loss"] = train_loss
    arrays = {n: np.array(v, np.float64).ravel() for n, v in given.items() if v is not None}
    for array in arrays.values():
        huge = np.abs(array) > HUGE
        array[huge] = np.copysign(np.inf, array[huge])
    lengths = {name: len(array) for name, array in arrays.items()}
    count = max(lengths.values(), default=0)
    at = np.arange(1, count + 1) if epochs is None else np.asarray(epochs, np.int64)
    if any(length != len(at) for length in lengths.values()):
        raise StudyError(
            f"All curves of a run must have one value for each of its {len(at)} epochs, got "
            f"{', '.join(f'{n}: {length}' for n, length in lengths.items())}. Fill with NaN."
        )
    if np.any(np.diff(at) <= 0):
        raise StudyError(f"The epochs of a run must rise, got {at.tolist()}.")
    if classes is not None and classes < 2:
        raise StudyError(f"A classifier has at least 2 classes, got classes={classes}.")
    known = {name: array for name, array in arrays.items() if not np.isnan(array).all()}
    return Curves(
        at, **known, metric=metric, rises=rises, classes=classes, attainable=attainable, loss=loss
    )
