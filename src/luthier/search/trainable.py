"""Where hardly anything trains and one trial did: proposals that lie nearer to it than to what did not.

A surrogate needs two trials with a value. Until there are, the one that trained still says more of where
training is possible than points spread over all of the space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luthier.search.columns import Columns, columns_of
from luthier.search.novelty import first_new
from luthier.search.observations import Observations
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FEWEST = 3  # trials that cannot be trained: fewer are an accident
_DRAWN = 512


def tells(seen: Observations) -> bool:
    """Return whether there is a trial that trained, and several that did not."""
    trained = len(seen.points) + len(seen.partial)
    return bool(seen.dimension and trained and len(seen.infeasible) >= _FEWEST)


def beside_trained(
    seen: Observations, history: History, space: Space, chance: Chance
) -> dict[str, Any] | None:
    """Return a new configuration whose nearest known trial is one that trained; None without one."""
    import numpy as np

    if not tells(seen):
        return None
    columns, trained = columns_of(space), np.concatenate([seen.points, seen.partial])
    drawn = _candidates(columns, trained, chance.of("beside").generator())
    nearer = _away(columns, drawn, trained) < _away(columns, drawn, seen.infeasible)
    return first_new(drawn[nearer], seen, history, space, again=history.header.noisy)


def _candidates(columns: Columns, trained: Array, generator: np.random.Generator) -> Array:
    """Return places (m, d): each a random share of the way from one of *trained* to anywhere.

    A choice takes the other's option with the probability of that share.
    """
    import numpy as np

    shape = (_DRAWN, columns.dimension)
    there = columns.drawn(generator.random(shape), active_only=False)
    here = trained[generator.integers(len(trained), size=_DRAWN)]
    here = np.where(np.isnan(here), there, here)
    share = generator.random((_DRAWN, 1))
    places = here + share * (there - here)
    options = np.array(columns.options) > 0
    places[:, options] = np.where(generator.random(shape) < share, there, here)[:, options]
    return columns.rounded(places)


def _away(columns: Columns, places: Array, known: Array) -> Array:
    """Return the squares (m,) of how far *places* (m, d) are from the nearest of *known* (n, d)."""
    import numpy as np

    squares = np.zeros((len(places), len(known)))
    for here, there in zip(columns.features(places).T, columns.features(known).T, strict=True):
        squares += (here[:, None] - there[None, :]) ** 2
    return squares.min(axis=1)
