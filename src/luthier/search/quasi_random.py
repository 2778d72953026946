"""Configurations at the points of a low-discrepancy sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from luthier.search.random import ATTEMPTS, unsatisfiable
from luthier.space import Space
from luthier.study.chance import Chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points = Callable[[int, int, int], NDArray[np.float64]]


def configuration_at(
    points: Points, name: str, space: Space, number: int, chance: Chance
) -> dict[str, Any]:
    """Return the configuration at point *number* of the sequence that the study's seed scrambles.

    Where constraints refuse it, or it would run out of memory, the next one comes from a sequence of the
    trial's own.

    Args:
        points: ``(seed, dimension, count) -> (count, dimension)`` in [0, 1).
        name: of the sequence, which tells its randomness from that of others.
        space: where the configuration lies.
        number: of the trial.
        chance: of the trial.

    Raises:
        SpaceError: constraints that leave (next to) nothing of the space.
    """
    keys = list(space.domains)
    if not keys:
        return {}
    refused = "again" in chance.purpose  # see ``deciding.proposed``
    for attempt in range(ATTEMPTS):
        if attempt == 0 and not refused:
            point = points(chance.seed % 2**64, len(keys), _block(number))[number]
        else:
            own = chance.of(name, attempt // 64).integer()
            point = points(own, len(keys), 64)[attempt % 64]
        values = dict(zip(keys, map(float, point), strict=True))
        configuration = space.sample(values.__getitem__)
        if space.satisfies(configuration):
            return configuration
    raise unsatisfiable(space)


def _block(number: int) -> int:
    """Return the power of two above *number*, at least 64: how many points to make at once."""
    return max(64, 1 << number.bit_length())
