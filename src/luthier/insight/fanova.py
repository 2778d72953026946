"""Functional analysis of variance of a random forest, exactly.

Hutter, Hoos & Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance",
Algorithm 2 and section 4.3: the trees are piecewise constant, so their marginals, and the variances of
these, are sums over leaves. A leaf's probability is a product over the hyperparameters within each
branch of the space (see ``bins``); a hyperparameter's marginal is taken where it is active, and its
variance counts with the probability of being so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.insight.bins import Bins, Branches, bins_of, branches_of
from luthier.insight.forest import Forest, grow
from luthier.insight.trials import Tried
from luthier.study.chance import Chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ROUNDING = 1e-12  # of the losses' own variance
_PROBES = 1024  # a power of 2, as Sobol' points want it


@dataclass(frozen=True)
class Decomposition:
    """A forest over a cut space, ready for questions about its variance.

    Attributes:
        bins: of the space.
        branches: of the space.
        forest: the trees.
        shares: (b, l, d) of each leaf's range in each hyperparameter, in each branch.
        total: the forest's variance over the space, by evenly spread points.
    """

    bins: Bins
    branches: Branches
    forest: Forest
    shares: Array
    total: float

    def single(self, column: int) -> tuple[float, Array]:
        """Return the variance that one hyperparameter explains by itself.

        Returns:
            The forest's, and that of each tree (t,). A single tree's marginal has the noise of its own
            draw of the trials and its own cuts, which the mean of the trees' marginals has not.
        """
        import numpy as np

        trees = len(self.forest.starts)
        sums = np.zeros((trees, self.bins.count))
        for weight, measures, shares in self._each():
            rest = np.delete(shares, column, axis=1).prod(axis=1) * self.forest.values
            marginal = np.add.reduceat(
                self.forest.boxes[:, column] * rest[:, None], self.forest.starts, axis=0
            )
            sums += weight * measures[column] * marginal
        mass = self.branches.weights @ self.branches.measures[:, column]
        sums, mass = sums[:, :-1], mass[:-1]
        return float(_variance(sums.mean(axis=0)[None], mass)[0]), _variance(sums, mass)

    def pair(self, one: int, other: int) -> float:
        """Return the variance that two hyperparameters explain only together, of the forest.

        It is that of their joint marginal less what each explains alone where both are active.
        """
        import numpy as np

        count, trees = self.bins.count, len(self.forest.starts)
        sums, mass = np.zeros((count, count)), np.zeros((count, count))
        first, second = (self.forest.boxes[:, c].astype(np.float64) for c in (one, other))
        for weight, measures, shares in self._each():
            rest = np.delete(shares, [one, other], axis=1).prod(axis=1) * self.forest.values
            both = weight * np.outer(measures[one], measures[other])
            sums += both * (first.T @ (rest[:, None] * second))
            mass += both
        sums, mass = sums[:-1, :-1] / trees, mass[:-1, :-1]
        joint = _variance(sums.reshape(1, -1), mass.ravel())[0]
        rows = _variance(sums.sum(axis=1)[None], mass.sum(axis=1))[0]
        columns = _variance(sums.sum(axis=0)[None], mass.sum(axis=0))[0]
        return max(0.0, float(joint - rows - columns))

    def _each(self) -> zip[tuple[float, Array, Array]]:
        return zip(self.branches.weights, self.branches.measures, self.shares, strict=True)


def decompose(found: Tried, losses: Array, chance: Chance) -> Decomposition:
    """Return the decomposition of a forest that was fitted to *losses* (n,), finite, of the trials."""
    import numpy as np

    bins = bins_of(found.columns, found.points)
    branches = branches_of(bins)
    unordered = np.array([count > 0 for count in found.columns.options])
    scaled = (losses - losses.mean()) / (float(losses.std()) or 1.0)
    probes = branches.drawn(_PROBES, chance.of("probes").integer())
    generator = chance.of("forest").generator()
    forest = grow(bins.of(found.points), scaled, bins.count, unordered, generator, probes)
    boxes = forest.boxes.astype(np.float64)
    shares = np.stack([np.einsum("ldc,dc->ld", boxes, measures) for measures in branches.measures])
    total = float(forest.probed.var())
    return Decomposition(bins, branches, forest, shares, total if total > _ROUNDING else np.inf)


def _variance(sums: Array, mass: Array) -> Array:
    """Return the variance (t,) of the means ``sums / mass``, (t, k) over bins with these masses (k,).

    It counts with the whole mass, which is the probability that the hyperparameters are active.
    """
    import numpy as np

    held = mass > 0
    if not held.any():
        return np.zeros(len(sums))
    whole = mass[held].sum()
    square = (sums[:, held] ** 2 / mass[held]).sum(axis=1)
    return np.maximum(square - sums[:, held].sum(axis=1) ** 2 / whole, 0.0)
