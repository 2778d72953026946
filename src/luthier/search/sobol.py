"""Sobol's low-discrepancy sequence, scrambled: random search without its clumps and gaps.

Sobol 1967; scrambling: Owen 1998, as in ``scipy.stats.qmc``. The first 2^k points are balanced, so
stop at a power of two where it does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError
from luthier.search.quasi_random import configuration_at
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DIMENSION = 21_201


@dataclass(frozen=True)
class Sobol:
    """Trial n takes point n of the sequence that the study's seed scrambles.

    Where constraints refuse a point, the trial takes its next one from a sequence of its own.
    """

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
    """Return the first *count* points (count, dimension) in [0, 1); longer blocks only append."""
    import numpy as np
    from scipy.stats import qmc

    engine = qmc.Sobol(dimension, scramble=True, rng=np.random.Generator(np.random.Philox(seed)))
    return engine.random(count)
