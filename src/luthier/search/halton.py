"""Halton's low-discrepancy sequence, scrambled: even at any number of trials.

Halton 1960; scrambling: Owen 2017, "A randomized Halton algorithm in R", as in ``scipy.stats.qmc``. Where
Sobol's sequence is balanced at powers of two, this one has no better and worse places to stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.errors import SpaceError
from luthier.search.quasi_random import configuration_at
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DIMENSION = 1000  # what scrambles it grows with the square: 143 MB, 0.3 s


@dataclass(frozen=True)
class Halton:
    """Trial n takes point n of the sequence that the study's seed scrambles.

    Where constraints refuse a point, the trial takes its next one from a sequence of its own.
    """

    proposes_alone: ClassVar[bool] = True

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: more than 1,000 hyperparameters, or constraints that leave nothing.
        """
        if len(space.domains) > MAX_DIMENSION:
            raise SpaceError(
                f"Halton goes up to {MAX_DIMENSION} hyperparameters, got {len(space.domains)}. "
                "Sobol takes more."
            )
        return configuration_at(_points, "halton", space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None


@lru_cache(maxsize=8)
def _points(seed: int, dimension: int, count: int) -> NDArray[np.float64]:
    """Return the first *count* points (count, dimension) in [0, 1); longer blocks only append.

    They are those of ``scipy.stats.qmc.Halton``, whose import alone takes one to two seconds.
    """
    import numpy as np

    [generator] = np.random.Generator(np.random.Philox(seed)).spawn(1)
    found = np.empty((count, dimension))
    for column, base in enumerate(_primes(dimension)):
        left, point, unit = np.arange(count), np.zeros(count), 1.0
        for _ in range(math.ceil(54 / math.log2(base)) - 1):  # those that a float can tell apart
            unit /= base
            digits = np.arange(base)
            generator.shuffle(digits)
            point += digits[left % base] * unit
            left //= base
        found[:, column] = point
    return found


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found if prime * prime <= candidate):
            found.append(candidate)
        candidate += 1
    return found
