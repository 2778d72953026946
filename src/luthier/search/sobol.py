"""Sobol's low-discrepancy sequence, scrambled: random search without its clumps and gaps.

Sobol 1967; scrambling: Matoušek 1998, as in ``scipy.stats.qmc``. The first 2^k points are balanced, so
stop at a power of two where it does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.errors import SpaceError
from luthier.search.quasi_random import configuration_at
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DIMENSION = 21_201
_BITS = 30
_TABLE = "stats/_sobol_direction_numbers.npz"  # SciPy's own, in none of its functions' results


@dataclass(frozen=True)
class Sobol:
    """Trial n takes point n of the sequence that the study's seed scrambles.

    Where constraints refuse a point, the trial takes its next one from a sequence of its own.
    """

    proposes_alone: ClassVar[bool] = True

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: more than 21,201 hyperparameters, or constraints that leave nothing.
        """
        if len(space.domains) > MAX_DIMENSION:
            raise SpaceError(
                f"Sobol goes up to {MAX_DIMENSION} hyperparameters, got {len(space.domains)}."
            )
        return configuration_at(points, "sobol", space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None


@lru_cache(maxsize=8)
def points(seed: int, dimension: int, count: int) -> NDArray[np.float64]:
    """Return the first *count* points (count, dimension) in [0, 1); longer blocks only append.

    They are those of ``scipy.stats.qmc.Sobol``, whose import alone takes one to two seconds.
    """
    import numpy as np

    generator = np.random.Generator(np.random.Philox(seed))
    try:
        directions = _directions(dimension)
    except FileNotFoundError:  # a SciPy that keeps its table elsewhere
        from scipy.stats import qmc

        return qmc.Sobol(dimension, rng=generator).random(count)
    [generator] = generator.spawn(1)
    drawn = partial(generator.integers, 2, dtype=np.uint32)
    shift = drawn(size=(dimension, _BITS)) @ (1 << np.arange(_BITS, dtype=np.uint32))
    triangles = np.tril(drawn(size=(dimension, _BITS, _BITS)), -1)
    triangles |= np.eye(_BITS, dtype=np.uint32)
    directions = _scrambled(directions, triangles)
    found = np.empty((count, dimension), np.uint32)
    found[0] = shift
    for bit in range((count - 1).bit_length()):  # Gray's code: a block is the one before, backwards
        begin = 1 << bit
        size = min(begin, count - begin)
        found[begin : begin + size] = found[begin - size : begin][::-1] ^ directions[:, bit]
    return found * np.float64(2.0**-_BITS)


def _scrambled(directions: NDArray[np.uint32], triangles: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the direction numbers (d, bits) after a linear scrambling (Matoušek 1998).

    Args:
        directions: (d, bits), the first binary digit highest.
        triangles: (d, bits, bits), zeros and ones: how each digit comes out of those before it.
    """
    import numpy as np

    high_to_low = np.arange(_BITS - 1, -1, -1, dtype=np.uint32)
    digits = directions[:, :, None] >> high_to_low & 1  # (d, number, digit)
    mixed = np.einsum("dij,dnj->dni", triangles, digits) & 1
    return np.bitwise_or.reduce(mixed << high_to_low, axis=2)


@lru_cache(maxsize=8)
def _directions(dimension: int) -> NDArray[np.uint32]:
    """Return Joe & Kuo's direction numbers (dimension, bits) of 2008, the first binary digit highest."""
    import numpy as np
    import scipy

    with np.load(Path(scipy.__file__).parent / _TABLE) as table:
        polynomials = table["poly"][:dimension].astype(np.int64)
        given = table["vinit"][:dimension].astype(np.int64)
    degrees = np.frexp(polynomials)[1] - 1
    numbers = np.ones((dimension, _BITS), np.int64)
    for degree in range(1, int(degrees.max(initial=0)) + 1):
        rows = np.flatnonzero(degrees == degree)
        mine, polynomial = numbers[rows], polynomials[rows]
        mine[:, :degree] = given[rows, :degree]
        for j in range(degree, _BITS):
            new = mine[:, j - degree].copy()
            for k in range(degree):
                new ^= (polynomial >> (degree - 1 - k) & 1) * (mine[:, j - k - 1] << (k + 1))
            mine[:, j] = new
        numbers[rows] = mine
    return (numbers << np.arange(_BITS - 1, -1, -1)).astype(np.uint32)
