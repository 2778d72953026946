"""Keeps a study from training the same configuration twice while there are others."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.search.columns import columns_of
from luthier.search.observations import Observations
from luthier.search.random import RandomSearch
from luthier.search.sobol import Sobol
from luthier.search.transfer import Source, sources_of
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.feasibility import would_run_out
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_SAME = 1e-9  # of a range
_FIRST = 3  # proposals that come from earlier studies
AMONG = 12  # trials: code that settles on something else would be asked for the same for ever
TAKE_FIRST_ALONE = (
    "tpe",
    "cma_es",
    "differential_evolution",
    "bohb",
)  # and give earlier trials no say
_APART = 0.01  # of a range: what is under way says all about what is nearer
_CLOSE = 0.1  # of a range: too near to another of them
_TURNS = 4  # one of so many first configurations follows no belief
_LOOKED_AT = 2000
_DRAWN = 512


def first_new(
    ranked: Array, seen: Observations, history: History, space: Space, *, again: bool = False
) -> dict[str, Any] | None:
    """Return the first of the places (m, d) that can be trained and was not; None without any.

    With *again*, what was trained counts, too, unless it failed.
    """
    tried = _but_trained(seen) if again else _tried(seen)
    for place in ranked[:_LOOKED_AT]:
        if _is_new(place, tried):
            configuration = space.decode(place)
            if space.satisfies(configuration) and not would_run_out(
                configuration, history.infeasible
            ):
                return configuration
    return None


def first_apart(
    ranked: Array, seen: Observations, history: History, space: Space, *, again: bool = False
) -> dict[str, Any] | None:
    """Return the first that is also apart from what is under way, if there is one; see ``first_new``.

    It is so in one hyperparameter: by another option, or by a hundredth of the range.
    """
    import numpy as np

    places = np.nan_to_num(ranked[:_LOOKED_AT], nan=-1.0)
    least = np.where(np.array(columns_of(space).options) > 0, _SAME, _APART - _SAME)
    far = np.ones(len(places), dtype=bool)
    for other in np.nan_to_num(seen.pending, nan=-1.0):
        far &= (np.abs(places - other) > least).any(axis=1)
    found = first_new(ranked[:_LOOKED_AT][far], seen, history, space, again=again)
    if found is None and not far.all():
        return first_new(ranked, seen, history, space, again=again)
    return found


def early(
    seen: Observations, history: History, space: Space, number: int, chance: Chance
) -> dict[str, Any]:
    """Return one of the first configurations: the defaults for trial 0, then quasi-random ones.

    Between them come the best of earlier studies, when there are any. Every fourth lies where it would if
    nobody had a belief: that may be wrong, and who has looked round it alone would never know.

    Raises:
        SpaceError: constraints that leave (next to) nothing of the space.
    """
    if (found := lent(seen, history, space, number)) is not None:
        return found
    where = without_beliefs(space) if number % _TURNS == _TURNS - 1 else space
    found = space.default() if number == 0 else Sobol().propose(history, where, number, chance)
    if not space.searched:
        return found
    new = first_new(space.encode(found)[None, :], seen, history, space)
    return found if new is not None else untried(seen, history, space, number, chance)


@lru_cache(maxsize=16)
def without_beliefs(space: Space) -> Space:
    """Return *space*, all of it as likely; the same object where nothing is believed."""
    whole = space.to_dict()
    if not any("prior" in entry for entry in whole["domains"]):
        return space
    drop = {"prior", "confidence"}
    kept = [{k: v for k, v in entry.items() if k not in drop} for entry in whole["domains"]]
    return Space.from_dict({**whole, "domains": kept})


def lent(seen: Observations, history: History, space: Space, number: int) -> dict[str, Any] | None:
    """Return a good configuration of an earlier study that was not tried; None without one.

    It is for one of the first trials, after the defaults. Enqueued ones may have taken their numbers, so what
    was tried says whose turn it is; while nothing was, the number does: code may settle on something else.
    """
    import numpy as np

    places = _first_places(sources_of(history, space)) if 0 < number < AMONG else []
    if not places:
        return None
    tried = _tried(seen)
    if all(_is_new(place, tried) for place in places):
        turn = (number - 1) % len(places)
        places = places[turn:] + places[:turn]
    return first_new(np.array(places), seen, history, space)


def _first_places(sources: tuple[Source, ...]) -> list[Array]:
    """Return the places (d,) that a new study tries after its defaults: good ones of each in turn.

    None is close to another: the best trials of a study that has ended well are all but the same.
    """
    import numpy as np

    found: list[Array] = []
    most = max((len(source.points) for source in sources), default=0)
    for place in (s.points[rank] for rank in range(most) for s in sources if rank < len(s.points)):
        if _is_new(place, np.nan_to_num(found, nan=-1.0), _CLOSE):
            found.append(place)
        if len(found) == _FIRST:
            break
    return found


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

    known = np.nan_to_num(np.concatenate([seen.points, seen.partial, seen.pending]), nan=-1.0)
    return np.concatenate([known, _in_vain(seen)])


def _but_trained(seen: Observations) -> Array:
    """Return what is no news even where a trial may be repeated: what failed, and what is under way."""
    import numpy as np

    return np.concatenate([np.nan_to_num(seen.pending, nan=-1.0), _in_vain(seen)])


def _in_vain(seen: Observations) -> Array:
    import numpy as np

    return np.nan_to_num(np.concatenate([seen.infeasible, seen.failed]), nan=-1.0)


def _is_new(place: Array, tried: Array, apart: float = _SAME) -> bool:
    import numpy as np

    if not len(tried):
        return True
    away = np.abs(tried - np.nan_to_num(place, nan=-1.0))
    return bool(away.max(axis=1).min() > apart)
