"""What a trial at a place promises: the logarithm of the expected improvement, where it can be trained.

LogEI: Ament et al. 2023, "Unexpected Improvements to Expected Improvement", eq. 8 and appendix A.1: in
plain EI most of the space is zero to the last bit and a gradient finds nothing. Feasibility multiplies
EI (Schonlau et al. 1998; Gardner et al. 2014, eq. 4); a user's belief does so too and washes out with
the number of trials (πBO, Hvarfner et al. 2022, eq. 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.search.surrogate.gaussian import Posterior

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FAR = -1e4  # below, h(z) is zero for all practical purposes; keeps what follows finite


@dataclass(frozen=True)
class Acquisition:
    """LogEI on *objective* below *incumbent*, weighted with the probability to be feasible."""

    objective: Posterior
    incumbent: float
    feasible: Posterior | None = None

    def __call__(self, features: Array) -> Array:
        """Return the acquisition at *features* (m, q), to be maximised."""
        mean, variance = self.objective.predict(features)
        found, _, _ = log_improvement(mean, variance, self.incumbent)
        if self.feasible is not None:
            mean, variance = self.feasible.predict(features)
            found = found + log_positive(mean, variance)[0]
        return found

    def gradients(self, features: Array) -> tuple[Array, Array]:
        """Return the acquisition (m,) and its gradient (m, q)."""
        mean, variance, mean_slope, variance_slope = self.objective.gradients(features)
        found, by_mean, by_variance = log_improvement(mean, variance, self.incumbent)
        slope = by_mean[:, None] * mean_slope + by_variance[:, None] * variance_slope
        if self.feasible is not None:
            mean, variance, mean_slope, variance_slope = self.feasible.gradients(features)
            more, by_mean, by_variance = log_positive(mean, variance)
            found = found + more
            slope = slope + by_mean[:, None] * mean_slope + by_variance[:, None] * variance_slope
        return found, slope


def log_improvement(mean: Array, variance: Array, incumbent: float) -> tuple[Array, Array, Array]:
    """Return log EI of normal values below *incumbent*, and its derivatives by mean and variance."""
    import numpy as np
    from scipy.special import log_ndtr

    deviation = np.sqrt(variance)
    z = np.maximum((incumbent - mean) / deviation, _FAR)
    log_h = _log_h(z)
    ratio = np.exp(log_ndtr(z) - log_h)  # Φ(z) / h(z), the derivative of log h
    by_mean = -ratio / deviation
    by_variance = 0.5 / variance * (1.0 - z * ratio)
    return log_h + np.log(deviation), by_mean, by_variance


def _log_h(z: Array) -> Array:
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
