"""Kernel densities over the unit cube, for numbers and choices together.

Product kernels round each trial (Falkner et al. 2018, section 4.1): a normal cut off at the range's ends
for what has an order, and for choices the kernel of Aitchison & Aitken 1976, which gives its own option
a larger share. One more component is the user's belief, or even: it carries the exploration and is
outweighed as trials come in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.search.columns import Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_WIDTH = 0.2  # of a kernel for one trial; falls with their number as Scott's rule says
_NARROWEST = 0.01


@dataclass(frozen=True)
class Density:
    """A mixture of kernels at *centres* (n, g) in some of the *columns*, and the belief.

    Attributes:
        columns: the space.
        indices: the columns that the density is over.
        centres: (n, g) places of trials, none of them NaN.
        widths: (g,) deviations of the kernels; for a choice the share that the other options get.
        believes: whether the belief is a component, beside one kernel a trial.
    """

    columns: Columns
    indices: tuple[int, ...]
    centres: Array
    widths: Array
    believes: bool = True

    def draw(self, count: int, generator: np.random.Generator) -> Array:
        """Return *count* draws (count, g), not rounded."""
        import numpy as np
        from scipy.special import ndtr, ndtri

        which = generator.integers(len(self.centres) + self.believes, size=count)
        uniforms = generator.random((count, self.columns.dimension))
        # Even draws from the belief; those that belong to a kernel are replaced below.
        drawn = self.columns.drawn(uniforms, active_only=False)[:, self.indices]
        uniforms = uniforms[:, self.indices]
        near = which < len(self.centres)
        centres = self.centres[which[near]]
        for column, index in enumerate(self.indices):
            centre, width, u = centres[:, column], self.widths[column], uniforms[near, column]
            if options := self.columns.options[index]:
                other = (np.floor(u / max(width, 1e-12) * options) + 0.5) / options
                drawn[near, column] = np.where(u < width, other, centre)
            else:
                low, high = ndtr(-centre / width), ndtr((1 - centre) / width)
                drawn[near, column] = centre + width * ndtri(low + u * (high - low))
        return np.clip(drawn, 0.0, 1.0)

    def log(self, points: Array) -> Array:
        """Return the logarithm of the density at *points* (m, g), shape (m,)."""
        import numpy as np
        from scipy.special import ndtr

        belief = np.full((len(points), self.columns.dimension), math.nan)
        belief[:, self.indices] = points
        terms = np.zeros((len(points), len(self.centres) + 1))
        terms[:, -1] = self.columns.log_belief(belief)
        for column, index in enumerate(self.indices):
            centre, width = self.centres[:, column], self.widths[column]
            place = points[:, column][:, None]
            if options := self.columns.options[index]:
                same = np.abs(place - centre) < 0.5 / options
                # Relative to even shares, as the belief's density is.
                terms[:, :-1] += np.where(
                    same, math.log(options * (1 - width) + width), math.log(max(width, 1e-12))
                )
            else:
                mass = ndtr((1 - centre) / width) - ndtr(-centre / width)
                norm = np.log(mass * width * math.sqrt(2 * math.pi))
                terms[:, :-1] += -0.5 * ((place - centre) / width) ** 2 - norm
        if not self.believes:
            terms = terms[:, :-1]
        top = terms.max(axis=1)
        total = np.exp(terms - top[:, None]).sum(axis=1)
        return top + np.log(total / terms.shape[1])


def density(columns: Columns, indices: tuple[int, ...], centres: Array) -> Density:
    """Return the density that trials at *centres* (n, g) suggest."""
    import numpy as np

    count, wide = len(centres), len(indices)
    width = max(_NARROWEST, _WIDTH * max(1, count) ** (-1.0 / (wide + 4)))
    widths = [
        options / (options + count) if (options := columns.options[index]) else width
        for index in indices
    ]
    return Density(columns, indices, centres, np.array(widths))
