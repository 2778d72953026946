"""Keeps a study from training the same configuration twice while there are others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luthier.search.columns import columns_of
from luthier.search.observations import Observations
from luthier.search.random import RandomSearch
from luthier.search.sobol import Sobol
from luthier.search.transfer import first_places, sources_of
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.feasibility import would_run_out
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SAME = 1e-9  # of a range
_LOOKED_AT = 2000
_DRAWN = 512


def first_new(
    ranked: Array, seen: Observations, history: History, space: Space, *, again: bool = False
) -> dict[str, Any] | None:
    """Return the first of the places (m, d) that can be trained and was not; None without any.

    With *again*, what was trained counts, too.
    """
    tried = _tried(seen)
    for place in ranked[:_LOOKED_AT]:
        if again or _is_new(place, tried):
            configuration = space.decode(place)
            if space.satisfies(configuration) and not would_run_out(
                configuration, history.infeasible
            ):
                return configuration
    return None


def early(
    seen: Observations, history: History, space: Space, number: int, chance: Chance
) -> dict[str, Any]:
    """Return one of the first configurations: the defaults for trial 0, then quasi-random ones.

    Between them come the best of earlier studies, when there are any.

    Raises:
        SpaceError: constraints that leave (next to) nothing of the space.
    """
    places = first_places(sources) if (sources := sources_of(history, space)) else []
    if 0 < number <= len(places):
        found = first_new(places[number - 1][None, :], seen, history, space)
        return found or untried(seen, history, space, number, chance)
    found = space.default() if number == 0 else Sobol().propose(history, space, number, chance)
    if not space.searched:
        return found
    new = first_new(space.encode(found)[None, :], seen, history, space)
    return found if new is not None else untried(seen, history, space, number, chance)


def untried(
    seen: Observations, history: History, space: Space, number: int, chance: Chance
) -> dict[str, Any]:
    """Return a random configuration, a new one unless hundreds of draws were all tried before.

    Raises:
        SpaceError: constraints that leave (next to) nothing of the space.
    """
    columns = columns_of(space)
    uniforms = chance.of("untried").generator().random((_DRAWN, columns.dimension))
    found = first_new(columns.drawn(uniforms), seen, history, space)
    return found or RandomSearch().propose(history, space, number, chance)


def _tried(seen: Observations) -> Array:
    import numpy as np

    return np.nan_to_num(np.concatenate([seen.points, seen.infeasible, seen.pending]), nan=-1.0)


def _is_new(place: Array, tried: Array) -> bool:
    import numpy as np

    away = np.abs(tried - np.nan_to_num(place, nan=-1.0))
    return not len(tried) or bool(away.max(axis=1).min() > _SAME)
