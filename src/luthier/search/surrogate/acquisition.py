"""What a trial at a place promises: the logarithm of the expected improvement, where it can be trained.

LogEI: Ament et al. 2023, "Unexpected Improvements to Expected Improvement", eq. 8 and appendix A.1: in
plain EI most of the space is zero to the last bit and a gradient finds nothing. The probability that
training is possible and that constraints are kept multiplies EI (Schonlau et al. 1998; Gardner et al.
2014, eq. 4); so does a user's belief, which washes out with the number of trials (πBO, Hvarfner et al.
2022, eq. 6). Where time is what is short, EI is divided by the expected time of a trial (Snoek et al.
2012, section 3.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FAR = -1e4  # below, h(z) is zero for all practical purposes; keeps what follows finite


class Surrogate(Protocol):
    """What can be asked for the distribution of a function at any place."""

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return mean and variance at *features* (m, q), each of shape (m,)."""
        ...

    def gradients(self, features: Array) -> tuple[Array, Array, Array, Array]:
        """Return mean, variance (m,) and their gradients (m, q)."""
        ...


class Term(Protocol):
    """One part of an acquisition: they are added up."""

    def value(self, features: Array) -> Array:
        """Return the term at *features* (m, q), to be maximised."""
        ...

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return the term (m,) and its gradient (m, q)."""
        ...


@dataclass(frozen=True)
class Improvement:
    """LogEI on *objective* below *incumbent*."""

    objective: Surrogate
    incumbent: float

    def value(self, features: Array) -> Array:
        """Return log EI."""
        return log_improvement(*self.objective.predict(features), self.incumbent)[0]

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return log EI and its gradient."""
        mean, variance, mean_slope, variance_slope = self.objective.gradients(features)
        found, by_mean, by_variance = log_improvement(mean, variance, self.incumbent)
        return found, by_mean[:, None] * mean_slope + by_variance[:, None] * variance_slope


@dataclass(frozen=True)
class Below:
    """The logarithm of the probability that *surrogate* is at most *threshold*."""

    surrogate: Surrogate
    threshold: float

    def value(self, features: Array) -> Array:
        """Return the log-probability."""
        mean, variance = self.surrogate.predict(features)
        return log_positive(self.threshold - mean, variance)[0]

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return the log-probability and its gradient."""
        mean, variance, mean_slope, variance_slope = self.surrogate.gradients(features)
        found, by_mean, by_variance = log_positive(self.threshold - mean, variance)
        return found, -by_mean[:, None] * mean_slope + by_variance[:, None] * variance_slope


@dataclass(frozen=True)
class Cheaper:
    """Minus *weight* times the expectation of *surrogate*, such as the logarithm of a trial's time."""

    surrogate: Surrogate
    weight: float

    def value(self, features: Array) -> Array:
        """Return the term."""
        return -self.weight * self.surrogate.predict(features)[0]

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return the term and its gradient."""
        mean, _, slope, _ = self.surrogate.gradients(features)
        return -self.weight * mean, -self.weight * slope


@dataclass(frozen=True)
class Acquisition:
    """The sum of its terms: products of improvement and probabilities, in logarithms."""

    terms: tuple[Term, ...]

    def __call__(self, features: Array) -> Array:
        """Return the acquisition at *features* (m, q), to be maximised."""
        import numpy as np

        return np.sum([term.value(features) for term in self.terms], axis=0)

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return the acquisition (m,) and its gradient (m, q)."""
        import numpy as np

        found, slopes = zip(*(term.gradients(features) for term in self.terms), strict=True)
        return np.sum(found, axis=0), np.sum(slopes, axis=0)


def log_improvement(mean: Array, variance: Array, incumbent: float) -> tuple[Array, Array, Array]:
    """Return log EI of normal values below *incumbent*, and its derivatives by mean and variance."""
    import numpy as np
    from scipy.special import log_ndtr

    deviation = np.sqrt(variance)
    z = np.maximum((incumbent - mean) / deviation, _FAR)
    expected = log_h(z)
    ratio = np.exp(log_ndtr(z) - expected)  # Φ(z) / h(z), the derivative of log h
    by_mean = -ratio / deviation
    by_variance = 0.5 / variance * (1.0 - z * ratio)
    return expected + np.log(deviation), by_mean, by_variance


def log_h(z: Array) -> Array:
    """Return log(φ(z) + z Φ(z)) without loss of digits, for z down to -1e4."""
    import numpy as np
    from scipy.special import erfcx, ndtr

    near = np.maximum(z, -1.0)
    plain = np.log(np.exp(-0.5 * near**2) / math.sqrt(2 * math.pi) + near * ndtr(near))
    far = np.minimum(z, -1.0)
    # h(z) = φ(z) (1 - |z| √(π/2) erfcx(|z|/√2)); for large |z| the bracket is 1/z² - 3/z⁴ …
    product = -far * math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2))
    bracket = np.where(far > -200.0, 1.0 - product, 1.0 / far**2)
    tail = -0.5 * far**2 - 0.5 * math.log(2 * math.pi) + np.log(np.maximum(bracket, 1e-300))
    return np.where(z > -1.0, plain, tail)


def log_positive(mean: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Return log Φ(mean / deviation) and its derivatives by mean and variance."""
    import numpy as np
    from scipy.special import log_ndtr

    deviation = np.sqrt(variance)
    z = mean / deviation
    found = log_ndtr(z)
    ratio = np.exp(-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - found)  # φ / Φ
    return found, ratio / deviation, -0.5 * ratio * z / variance
