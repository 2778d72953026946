"""Losses made even: heavy tails of bad values would hide the differences between good ones.

Yeo & Johnson 2000, with the exponent that makes the values most normal, as HEBO does (Cowen-Rivers et
al. 2022, section 4.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FAR = 1e3  # times as far from the quartile as that is from the best: of another kind
_GOOD = 3  # trials at least that a scale is taken from
_EXPONENTS = [i / 4 for i in range(-4, 7)]


def evened(losses: Array) -> Array:
    """Return an increasing function of *losses* (n,) with mean 0 and variance 1 and little skew."""
    import numpy as np

    if len(losses) < 2 or np.ptp(losses) <= 0:
        return np.zeros(len(losses))
    middle, lower = _scale(losses)
    spread = 2.0 * (middle - lower) or float(np.ptp(losses))
    # A loss of 1e30 from training that all but diverged says no more than a very bad one.
    scaled = np.minimum((losses - middle) / spread, 1e6)
    best = min((_cost(scaled, exponent), exponent) for exponent in _EXPONENTS)[1]
    return _standard(_power(scaled, best))


def _scale(losses: Array) -> tuple[float, float]:
    """Return the median and the quartile below, or those of the good part.

    The bad half may hold anything; where it is more than a half, and far worse, the differences between
    good ones would be lost in the noise.
    """
    import numpy as np

    least = float(losses.min())
    share = 0.5
    while True:
        middle, lower = map(float, np.quantile(losses, [share, share / 2]))
        alike = lower <= least or middle - lower <= _FAR * (lower - least)
        share /= 2
        if alike or share * len(losses) < _GOOD:
            return middle, lower


def _power(x: Array, exponent: float) -> Array:
    """Return Yeo and Johnson's transformation of *x*."""
    import numpy as np

    above, below = np.maximum(x, 0.0), np.maximum(-x, 0.0)
    up = np.log1p(above) if exponent == 0 else ((1 + above) ** exponent - 1) / exponent
    rest = 2.0 - exponent
    down = np.log1p(below) if rest == 0 else ((1 + below) ** rest - 1) / rest
    return up - down


def _cost(x: Array, exponent: float) -> float:
    """Return minus the log-likelihood of normal values under the transformation."""
    import numpy as np

    variance = float(_power(x, exponent).var())
    if not 1e-300 < variance < 1e300:
        return float("inf")
    jacobian = (exponent - 1) * float(np.sum(np.sign(x) * np.log1p(np.abs(x))))
    return 0.5 * len(x) * float(np.log(variance)) - jacobian


def _standard(x: Array) -> Array:
    deviation = float(x.std())
    return (x - x.mean()) / deviation if deviation > 0 else x * 0.0
