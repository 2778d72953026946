"""Gaussian-process regression on features, with a lengthscale for each hyperparameter.

Kernel: Matérn-5/2 (Rasmussen & Williams 2006, eq. 4.17) with automatic relevance determination.
Hyperparameters: the mode of their posterior, by analytic gradients. Lengthscales have the log-normal
prior of Hvarfner, Hellsten & Nardi 2024 (section 4), which grows with the square root of the dimension,
so that the same model serves 2 and 50 dimensions. On top of it there may be a quadratic trend, whose
variance is learned too (the same, section 2.7): losses are bowls along most hyperparameters, and a
trend tells from few trials where their bottoms are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Integers = NDArray[np.intp]

_SQRT5 = math.sqrt(5.0)
_LENGTH_SPREAD = math.sqrt(3.0)
_LENGTH_CENTRE = math.sqrt(2.0)
_SIGNAL = (0.0, 1.0)  # mean and deviation of the logarithm of the signal's variance
_NOISE = (-7.0, 2.5)  # of the noise's variance
_TREND = (-1.0, 1.5)  # of the trend's
_BOUNDS_LENGTH = (math.log(5e-3), math.log(1e3))
_BOUNDS_SIGNAL = (-3.0, 4.0)
_BOUNDS_NOISE = (math.log(1e-7), math.log(2.0))
_BOUNDS_TREND = (-10.0, 3.0)


@dataclass(frozen=True)
class Hyperparameters:
    """What is learned of the process besides its values; all for standardised values.

    Attributes:
        lengths: (g,) lengthscale of each group of features.
        signal: variance of the function.
        noise: variance of an observation round it.
        trend: variance of the quadratic trend; 0: there is none.
    """

    lengths: Array
    signal: float
    noise: float
    trend: float = 0.0


@dataclass(frozen=True)
class Posterior:
    """The process given observations at *features* (n, q)."""

    hyperparameters: Hyperparameters
    features: Array
    scaled: Array  # features over their lengthscales
    inverse: Array  # (n, n) of the covariance
    weights: Array  # (n,) inverse times centred values
    values: Array  # (n,)
    mean: float
    terms: Array  # (n, 2 q) of the trend; (n, 0) without one

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return mean and variance of the function at *features* (m, q), each of shape (m,)."""
        import numpy as np

        covariance, _, prior, _ = self._covariance(features)
        mean = self.mean + covariance @ self.weights
        explained = np.einsum("ij,ij->i", covariance @ self.inverse, covariance)
        return mean, np.maximum(prior - explained, 1e-10)

    def gradients(self, features: Array) -> tuple[Array, Array, Array, Array]:
        """Return mean, variance (m,) and their gradients (m, q) with respect to *features*."""
        import numpy as np

        covariance, slope, prior, terms = self._covariance(features)
        solved = covariance @ self.inverse
        mean = self.mean + covariance @ self.weights
        explained = np.einsum("ij,ij->i", solved, covariance)
        variance = np.maximum(prior - explained, 1e-10)
        lengths = self.hyperparameters.lengths
        mean_slope = self._directed(slope * self.weights, features) / lengths**2
        variance_slope = -2.0 * self._directed(slope * solved, features) / lengths**2
        if self.hyperparameters.trend:
            mean_slope += self._bent(features, self.weights @ self.terms)
            variance_slope += 2.0 * self._bent(features, terms - solved @ self.terms)
        return mean, variance, mean_slope, variance_slope

    def left_out(self) -> tuple[Array, Array]:
        """Return mean and variance (n,) of each observation from all others (the same, eq. 5.12)."""
        import numpy as np

        variance = 1.0 / np.diagonal(self.inverse)
        return self.values - self.weights * variance, variance

    def _directed(self, slope: Array, features: Array) -> Array:
        """Return the sum over observations of slope times the difference of features."""
        return -(slope.sum(axis=1)[:, None] * features - slope @ self.features)

    def _bent(self, features: Array, factors: Array) -> Array:
        """Return the gradient (m, q) of the trend's terms at *features* times *factors* (m or 1, 2 q)."""
        count = features.shape[1]
        bent = 2.0 * factors[..., :count] + 4.0 * (2.0 * features - 1.0) * factors[..., count:]
        return self.hyperparameters.trend / math.sqrt(count) * bent

    def _covariance(self, features: Array) -> tuple[Array, Array, Array | float, Array]:
        """Return covariance with the observations, Matérn's slope, variance before any, terms of the trend."""
        import numpy as np

        signal, trend = self.hyperparameters.signal, self.hyperparameters.trend
        squared = squared_distances(features / self.hyperparameters.lengths, self.scaled)
        covariance, slope = matern(squared, signal)
        if not trend:
            return covariance, slope, signal, features[:, :0]
        terms = trend_terms(features)
        covariance += trend * (terms @ self.terms.T)
        prior = signal + trend * np.einsum("ij,ij->i", terms, terms)
        return covariance, slope, prior, terms


def squared_distances(a: Array, b: Array) -> Array:
    """Return the squared Euclidean distances between the rows of *a* (m, q) and *b* (n, q)."""
    import numpy as np

    found = -2.0 * (a @ b.T)
    found += np.einsum("ij,ij->i", a, a)[:, None]
    found += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(found, 0.0, out=found)


def matern(squared: Array, signal: float) -> tuple[Array, Array]:
    """Return the covariance at squared distances, and minus twice its derivative with respect to them."""
    import numpy as np

    # In place: most of the time goes to memory.
    slope = np.sqrt(5.0 * squared)
    decay = np.exp(-slope)
    decay *= signal
    slope += 1.0
    covariance = (5.0 / 3.0) * squared
    covariance += slope
    covariance *= decay
    slope *= 5.0 / 3.0
    slope *= decay
    return covariance, slope


def trend_terms(features: Array) -> Array:
    """Return a straight line and a parabola along each of *features* (m, q): (m, 2 q).

    Their covariance is that of a random quadratic function without interactions (Rasmussen & Williams
    2006, section 2.7), of variance 1 or less in the unit cube.
    """
    import numpy as np

    centred = 2.0 * features - 1.0
    return np.hstack([centred, centred**2 - 1.0 / 3.0]) / math.sqrt(features.shape[1])


def condition(
    hyperparameters: Hyperparameters, groups: Integers, features: Array, values: Array
) -> Posterior:
    """Return the posterior of the process given *values* (n,) at *features* (n, q)."""
    import numpy as np

    spread = Hyperparameters(
        hyperparameters.lengths[groups],
        hyperparameters.signal,
        hyperparameters.noise,
        hyperparameters.trend,
    )
    scaled = features / spread.lengths
    terms = trend_terms(features) if spread.trend else features[:, :0]
    covariance, _ = matern(squared_distances(scaled, scaled), spread.signal)
    if spread.trend:
        covariance += spread.trend * (terms @ terms.T)
    inverse = _inverted(covariance, spread.noise)
    ones = inverse.sum(axis=0)
    mean = float(ones @ values / ones.sum())
    weights = inverse @ (values - np.float64(mean))
    return Posterior(spread, features, scaled, inverse, weights, values, mean, terms)


def fit(
    features: Array, groups: Integers, values: Array, dimension: int, *, bent: bool = False
) -> Hyperparameters:
    """Return the most probable hyperparameters for *values* (n,), standardised, at *features* (n, q).

    Args:
        features: places, all within about [0, 1].
        groups: the group of each feature; those of one group share a lengthscale.
        values: mean 0, variance 1.
        dimension: the number of groups.
        bent: whether there is a quadratic trend.
    """
    import numpy as np
    from scipy.optimize import minimize

    # What never varied adds no distance: a study that has only moved one of nine is in one dimension.
    varied = len(np.unique(groups[np.ptp(features, axis=0) > 0]))
    centre = _LENGTH_CENTRE + 0.5 * math.log(max(1, varied))

    trend: Array | None = None
    if bent:
        terms = trend_terms(features)
        trend = terms @ terms.T

    prior = _prior(dimension, centre, bent=bent)

    def cost(theta: Array) -> tuple[float, Array]:
        return _negative_log_posterior(theta, features, groups, values, dimension, prior, trend)

    starts = [
        np.r_[np.full(dimension, math.log(length)), 0.0, math.log(noise), [-1.0] * bent]
        for length in (0.3, 0.3 * math.sqrt(dimension), math.sqrt(dimension))
        for noise in (1e-4, 1e-1)
    ]
    begin = min(starts, key=lambda theta: cost(theta)[0])
    bounds = [_BOUNDS_LENGTH] * dimension + [_BOUNDS_SIGNAL, _BOUNDS_NOISE] + [_BOUNDS_TREND] * bent
    solver: Any = minimize
    found = solver(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    best = found.x if np.all(np.isfinite(found.x)) else begin
    return Hyperparameters(
        np.exp(best[:dimension]),
        math.exp(best[dimension]),
        math.exp(best[dimension + 1]),
        math.exp(best[dimension + 2]) if bent else 0.0,
    )


def _prior(dimension: int, centre: float, *, bent: bool) -> tuple[Array, Array]:
    """Return means and deviations of the logarithms; *centre* is that of the lengthscales."""
    import numpy as np

    centres, spreads = zip(_SIGNAL, _NOISE, *[_TREND] * bent, strict=True)
    return (
        np.r_[np.full(dimension, centre), centres],
        np.r_[np.full(dimension, _LENGTH_SPREAD), spreads],
    )


def _negative_log_posterior(
    theta: Array,
    features: Array,
    groups: Integers,
    values: Array,
    dimension: int,
    prior: tuple[Array, Array],
    trend: Array | None,
) -> tuple[float, Array]:
    """Return the cost and its gradient; Rasmussen & Williams 2006, eqs. 5.8 and 5.9, and the priors."""
    import numpy as np

    lengths = np.exp(theta[:dimension])
    signal, noise = math.exp(theta[dimension]), math.exp(theta[dimension + 1])
    scaled = features / lengths[groups]
    covariance, slope = matern(squared_distances(scaled, scaled), signal)
    bent = 0.0 if trend is None else math.exp(theta[dimension + 2]) * trend
    try:
        inverse, log_determinant = _factored(covariance + bent, noise)
    except np.linalg.LinAlgError:
        return 1e25, np.zeros_like(theta)
    ones = inverse.sum(axis=0)
    weights = inverse @ values
    weights = weights - ones * (ones @ values / ones.sum())  # the mean that is most likely
    cost = 0.5 * float(values @ weights) + 0.5 * log_determinant
    inner = np.outer(weights, weights) - inverse
    weighted = inner * slope
    each = weighted.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, weighted @ scaled)
    gradient = np.empty_like(theta)
    gradient[:dimension] = -np.bincount(groups, each, dimension)
    gradient[dimension] = -0.5 * float(np.sum(inner * covariance))
    gradient[dimension + 1] = -0.5 * noise * float(np.trace(inner))
    if trend is not None:
        gradient[dimension + 2] = -0.5 * float(np.sum(inner * bent))
    centres, spreads = prior
    away = (theta - centres) / spreads
    return cost + 0.5 * float(away @ away), gradient + away / spreads


def _inverted(covariance: Array, noise: float) -> Array:
    """Return the inverse of covariance plus noise, or plus as much more as makes it possible."""
    import numpy as np

    while True:
        try:
            return _factored(covariance, noise)[0]
        except np.linalg.LinAlgError:  # trials all but on one place, known all but exactly
            if noise > 1.0:
                raise
            noise *= 10.0


def _factored(covariance: Array, noise: float) -> tuple[Array, float]:
    """Return the inverse of covariance plus noise, and the logarithm of the determinant."""
    import numpy as np
    from scipy.linalg import lapack

    noisy = covariance.copy()
    noisy.flat[:: len(noisy) + 1] += noise + 1e-8
    routines: Any = lapack
    factor, wrong = routines.dpotrf(noisy, lower=1, clean=1, overwrite_a=1)
    if wrong:
        raise np.linalg.LinAlgError("the covariance is not positive definite")
    log_determinant = 2.0 * float(np.log(np.diagonal(factor)).sum())
    lower, wrong = routines.dpotri(factor, lower=1)
    inverse = lower + lower.T  # above the diagonal there are zeros
    inverse.flat[:: len(inverse) + 1] *= 0.5
    return inverse, log_determinant
