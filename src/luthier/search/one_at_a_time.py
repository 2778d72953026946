"""One hyperparameter at a time, from the best so far: how people begin.

From as many trials it tells more of what each hyperparameter does than points spread over all of the space,
most of which lie in corners where nothing trains. COBYLA begins so, too (Powell 1994, section 2).
"""

from __future__ import annotations

import math
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

_STEP = 0.25  # of a range, on its scale
_FEW = 4  # values; with no more a step is one of them


def stepped(
    seen: Observations, history: History, space: Space, number: int, chance: Chance
) -> dict[str, Any] | None:
    """Return the best configuration so far with one hyperparameter changed; None where none is new.

    They take turns, in an order that the study's seed draws. What has an order moves by a quarter of its
    range, or by one value where there are few, up or down; a choice takes another option, and what only
    that has is at its default.

    Args:
        seen: what is known; with nothing known the best is the space's defaults.
        history: of the study.
        space: what is searched.
        number: the trial's, at least 1.
        chance: of the trial.
    """
    import numpy as np

    columns = columns_of(space)
    known, best = space.default(), space.encode(space.default())
    if len(seen.losses):
        at = np.argmin(seen.losses)
        known, best = history.trials[int(seen.numbers[at])].configuration, seen.points[at]
    turns = Chance(history.header.seed, ("turns",)).generator().permutation(columns.dimension)
    turns = turns[~np.isnan(best[turns])]
    if not len(turns):
        return None
    column = int(turns[(number - 1) % len(turns)])
    places = _others(columns, column, float(best[column]), chance)
    changed = np.tile(np.where(np.isnan(best), _inactive(columns), best), (len(places), 1))
    changed[:, column] = places
    found = first_new(columns.rounded(changed), seen, history, space)
    if found is None:
        return None
    # A value that comes back from the unit cube may differ in its last digit.
    same = {*columns.names} - {columns.names[column]}
    kept = {k: known[k] for k in found if k in known and k in same}
    return found | kept if space.satisfies(found | kept) else found


def _others(columns: Columns, column: int, here: float, chance: Chance) -> Array:
    """Return the places that the hyperparameter may move to, the one to be tried first at the front."""
    import numpy as np

    if count := columns.options[column]:
        centres = (np.arange(count) + 0.5) / count
        return chance.generator().permutation(centres[np.abs(centres - here) > 0.25 / count])
    up = chance.uniform("up") < 0.5
    if (columns.domains[column].cardinality or math.inf) <= _FEW:
        both = np.array(columns.beside(column, here))
        return both[::-1] if up else both
    both = np.array([here + _STEP, here - _STEP] if up else [here - _STEP, here + _STEP])
    return both[(both >= 0.0) & (both <= 1.0)]


def _inactive(columns: Columns) -> Array:
    """Return the places of all defaults, also of what is not active among them."""
    import numpy as np

    return np.array([d.encode(getattr(d, "default", None)) for d in columns.domains])
