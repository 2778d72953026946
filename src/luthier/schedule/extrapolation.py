"""Where a learning curve is going: the distribution of its loss at a later step.

A curve is y(t) = a + b g(t) + noise, with a shape g that falls from 1 to 0: a power law or an exponential
(Domhan, Springenberg & Hutter 2015, section 3; Klein et al. 2017), at several rates. For each shape and
size of the noise, a and b have a normal prior, learned from the other curves, so their posterior, the
prediction and the shape's evidence are exact (Bayesian linear regression: Bishop 2006, section 3.3); the
prediction is the mixture. Sums over the reports are all that is kept: a report costs the same whether it is
the tenth or the ten-thousandth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from luthier.study.records import TrialRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_POWERS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_RATES = (1.0, 2.0, 4.0, 8.0, 16.0)  # of the exponential, over the whole of the budget
_NOISES = (0.003, 0.01, 0.03, 0.1, 0.3)  # deviations, in units of the study's spread
_FORGETS = (
    0.97  # weight of a report for each one after it: a curve's beginning may be of another law
)


@dataclass(frozen=True)
class Belief:
    """What is expected of a curve before it is seen, in units of the loss.

    Attributes:
        level: of a, where it ends.
        level_spread: its deviation.
        drop: of b, how far it falls.
        drop_spread: its deviation.
    """

    level: float
    level_spread: float
    drop: float
    drop_spread: float


def shapes(steps: Array, budget: int) -> Array:
    """Return each shape at *steps* (n,), relative to a *budget* of steps: shape (n, s)."""
    import numpy as np

    t = np.asarray(steps, dtype=np.float64)[:, None]
    powers = t ** -np.array(_POWERS)
    rates = np.exp(-np.array(_RATES) * (t - 1.0) / max(1, budget))
    return np.concatenate([powers, rates], axis=1)


@dataclass(eq=False)
class Sums:
    """The weighted sums over one trial's reports that a prediction needs.

    Losses are summed as differences from their mean: squares of large ones, such as a log-likelihood of a
    big set, would leave no digit of what tells curves apart.
    """

    count: float
    loss: float  # the weighted mean of y
    squared: float  # sum of (y - mean)²
    shape: Array  # (s,) sums of g
    shape_squared: Array  # of g²
    shape_loss: Array  # of g (y - mean)


@dataclass(eq=False)
class Curves:
    """The sums of all trials, kept up to date; see ``following``."""

    budget: int
    sums: dict[int, Sums] = field(default_factory=dict[int, Sums])
    read: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])

    def take(self, trial: TrialRecord) -> None:
        """Add the reports that are new; all of them when some were taken back."""
        import numpy as np

        number = trial.number
        begin, rewound = self.read.get(number, (0, 0))
        if rewound != trial.rewound:
            begin = 0
        if begin == 0:
            zero = np.zeros(len(_POWERS) + len(_RATES))
            self.sums[number] = Sums(0.0, 0.0, 0.0, zero, zero.copy(), zero.copy())
        self.read[number] = len(trial.steps), trial.rewound
        if begin == len(trial.steps):
            return
        g = shapes(np.array(trial.steps[begin:]), self.budget)
        own = self.sums[number]
        for row, loss in zip(g, trial.losses[begin:], strict=True):
            if not math.isfinite(loss):
                continue
            own.count = own.count * _FORGETS + 1.0
            ahead = loss - own.loss
            moved = ahead / own.count
            own.loss += moved
            left = loss - own.loss
            own.squared = own.squared * _FORGETS + ahead * left
            own.shape_loss = (own.shape_loss - own.shape * moved) * _FORGETS + row * left
            own.shape = own.shape * _FORGETS + row
            own.shape_squared = own.shape_squared * _FORGETS + row * row


@dataclass(frozen=True)
class Prediction:
    """A mixture of normal distributions for each of n curves, shapes (n, k)."""

    weights: Array
    means: Array
    deviations: Array

    def below(self, bar: Array | float) -> Array:
        """Return the probability (n,) that the loss is below *bar*, a number or one a curve."""
        import numpy as np
        from scipy.special import ndtr

        bars = np.asarray(bar, dtype=np.float64).reshape(-1, 1)
        return (self.weights * ndtr((bars - self.means) / self.deviations)).sum(axis=1)

    @property
    def mean(self) -> Array:
        """Return the expectations (n,)."""
        return (self.weights * self.means).sum(axis=1)

    @property
    def deviation(self) -> Array:
        """Return the standard deviations (n,)."""
        import numpy as np

        apart = self.means - self.mean[:, None]
        second = (self.weights * (self.deviations**2 + apart**2)).sum(axis=1)
        return np.sqrt(np.maximum(second, 1e-24))


def predict(
    sums: list[Sums], levels: Array, belief: Belief, steps: Array, budget: int
) -> Prediction:
    """Return the distribution of each curve's loss at a later step.

    Args:
        sums: of n curves; of one that has not begun, all zero.
        levels: (n,) where each is expected to end, in place of the belief's level.
        belief: the rest of what is expected.
        steps: (n,) the steps that are asked about.
        budget: the steps of a full training.
    """
    import numpy as np

    count, loss, squared = (
        np.array([getattr(each, name) for each in sums])[:, None, None]
        for name in ("count", "loss", "squared")
    )
    g, gg, gy = (
        np.array([getattr(each, name) for each in sums])[:, :, None]
        for name in ("shape", "shape_squared", "shape_loss")
    )
    sigma = np.array(_NOISES) * max(belief.level_spread, 1e-12)
    precision = 1.0 / sigma**2  # (q,)
    # Everything counts from the mean of the reports; of a curve without any, from where it is to end.
    middle = np.where(count > 0, loss, levels[:, None, None])
    level, drop = levels[:, None, None] - middle, belief.drop
    by_level, by_drop = belief.level_spread**-2, belief.drop_spread**-2
    # The posterior's precision [[p, q], [q, r]] and what it is solved for, each (n, s, noises).
    p = by_level + count * precision
    q = g * precision
    r = by_drop + gg * precision
    u = by_level * level  # the losses' differences from their mean sum to 0
    v = by_drop * drop + gy * precision
    determinant = p * r - q * q
    a, b = (r * u - q * v) / determinant, (p * v - q * u) / determinant
    at = shapes(steps, budget)[:, :, None]
    mean = middle + (a + at * b)
    variance = (r - 2 * at * q + at * at * p) / determinant
    evidence = 0.5 * (
        count * np.log(precision)
        - np.log(determinant)
        - squared * precision
        - by_level * level**2
        + u * a
        + v * b
    )
    flat = (len(sums), -1)
    evidence = np.broadcast_to(evidence, mean.shape).reshape(flat)
    weights = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    deviation = np.sqrt(np.maximum(variance, 1e-24))
    return Prediction(weights, mean.reshape(flat), deviation.reshape(flat))
