"""PED-ANOVA: how much a hyperparameter decides whether a trial is among the best, in closed form.

Watanabe, Bansal & Hutter 2023 (IJCAI, arXiv 2304.10255), equation 16: with p_γ the density of the best
share γ of the trials along one hyperparameter and p_γ' that of the best share γ' of them,

    v = (γ / γ')² ∫ p_γ'(x) (p_γ(x) / p_γ'(x) − 1)² dx,

which is the variance, over p_γ', of the chance to be among the best given x. γ' = 1 looks at the whole
space, a small γ' at the good region only. Densities are Parzen's with cut-off normal kernels, and for
choices Aitchison & Aitken's, on a grid.

Three things are added. Both densities have the same kernels, so that the integral's expectation for a
hyperparameter without effect (the best are then drawn from the others without replacement) has a closed
form too, and it is taken away. A conditional hyperparameter is looked at where it is active, and counts
with the share of the trials in which it is. And the shares of resampled trials give an interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from luthier.search.columns import Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_GRID = 64  # cells of a range
_NARROWEST = 0.02  # of a kernel, in parts of the range
_SCOTT = 1.06  # his rule: 1.06 σ n^(−1/5)


def variances(columns: Columns, points: Array, weights: Array, best: Array) -> Array:
    """Return how much each hyperparameter decides.

    Args:
        columns: the space.
        points: (n, d) places of the trials in the region, NaN where inactive.
        weights: (s, n) how often each trial counts, in each of s samples.
        best: (s, n) the same for those among the best only.

    Returns:
        (s, d), none below 0.
    """
    import numpy as np

    found = [_variance(columns, column, points[:, column], weights, best)
             for column in range(columns.dimension)]  # fmt: skip
    return np.stack(found, axis=1)


def _variance(columns: Columns, column: int, places: Array, weights: Array, best: Array) -> Array:
    import numpy as np

    active = ~np.isnan(places)
    everyone = weights.sum(axis=1)
    weights, best, places = weights[:, active], best[:, active], places[active]
    count, chosen = weights.sum(axis=1), best.sum(axis=1)
    if len(places) < 2:
        return np.zeros(len(weights))
    cells, kernels, squares, size = _kernels(columns, column, places, float(chosen[0]))
    at = np.zeros((len(places), len(kernels)))
    at[np.arange(len(places)), cells] = 1.0
    density = (weights @ at / np.maximum(count, 1)[:, None]) @ kernels
    of_best = (best @ at / np.where(chosen > 0, chosen, 1.0)[:, None]) @ kernels
    held = np.maximum(density, 1e-12)
    divergence = size * ((of_best - density) ** 2 / held).sum(axis=1)
    # What it comes to when the best are any *chosen* of the *count*: the variance of a mean of draws
    # without replacement (Cochran 1977, theorem 2.2), cell by cell.
    spread = (weights @ at / np.maximum(count, 1)[:, None]) @ squares - density**2
    # A trial of which a part is among the best, as others are as good, is drawn by that part.
    parts = best**2 / np.maximum(weights, 1e-12)
    drawn = parts.sum(axis=1) / np.maximum(chosen, 1e-12) ** 2
    left = np.maximum(drawn * count - 1, 0.0) / np.maximum(count - 1, 1)
    by_chance = size * left * (spread / held).sum(axis=1)
    excess = np.where((chosen > 0) & (count > chosen), divergence - by_chance, 0.0)
    return count / everyone * (chosen / np.maximum(count, 1)) ** 2 * np.maximum(excess, 0.0)


def _kernels(
    columns: Columns, column: int, places: Array, chosen: float
) -> tuple[NDArray[np.intp], Array, Array, float]:
    """Return each trial's cell, the kernels (c, c) by cell, their squares, and a cell's size."""
    import numpy as np
    from scipy.special import ndtr

    values = columns.domains[column].cardinality
    if columns.options[column]:
        count = columns.options[column]
        share = 1 / (1 + max(chosen, 1.0))  # of the weight goes to the other options
        kernels = np.full((count, count), share / count) + np.eye(count) * (1 - share)
        size = 1.0
    else:
        count = values if values is not None and values <= _GRID else _GRID
        deviation = min(float(places.std()), 1 / math.sqrt(12))
        width = max(_NARROWEST, _SCOTT * deviation * max(chosen, 1.0) ** -0.2)
        edges = np.arange(count + 1) / count
        centres = (edges[1:] + edges[:-1]) / 2
        below = ndtr((edges[None, :] - centres[:, None]) / width)
        mass = np.diff(below, axis=1)
        kernels, size = mass / mass.sum(axis=1, keepdims=True) * count, 1 / count
    cells = np.minimum((places * count).astype(np.intp), count - 1)
    return cells, kernels, kernels**2, size
