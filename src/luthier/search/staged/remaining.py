"""What is left to try in a part of a space that has only a few configurations."""

from __future__ import annotations

import itertools
import math
from typing import Any

from luthier.search.novelty import first_new
from luthier.search.observations import observe
from luthier.search.room import Room
from luthier.study.history import History

_COUNTED = 64  # configurations: more than any stage has trials


def remaining(history: History, room: Room) -> list[dict[str, Any]] | None:
    """Return the configurations of *room* that were not tried; None where there is no end to them.

    That is also so in a noisy study, in which to try one again tells something.
    """
    import numpy as np

    if history.header.noisy:
        return None
    places: list[list[float]] = []
    for low, high, domain in zip(room.low, room.high, room.domains, strict=True):
        count = domain.cardinality
        if low >= high:
            places.append([float(low)])
        elif count is None or count > _COUNTED:
            return None
        else:
            all_ = map(domain.encode, domain.values())
            places.append([p for p in all_ if low - 1e-9 <= p <= high + 1e-9] or [float(low)])
    if math.prod(map(len, places)) > _COUNTED:
        return None
    points = room.rounded(np.array(list(itertools.product(*places))))
    _, own = np.unique(np.nan_to_num(points, nan=-1.0), axis=0, return_index=True)
    seen = observe(history, room.space)
    found = [first_new(points[[i]], seen, history, room.space) for i in own]
    return [configuration for configuration in found if configuration is not None]
