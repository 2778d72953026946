"""The trials of a study that say something about its space, as places in the unit cube and losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.search.columns import Columns, columns_of
from luthier.search.observations import observe, places_of
from luthier.space import Space
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """The trials that say something about the space.

    Attributes:
        columns: the searched hyperparameters.
        points: (n, d) places in the unit cube; NaN where a hyperparameter was inactive.
        losses: (n,) the objective as something to minimise, at the common budget; infinite for trials
            that cannot be trained (``Observations.infeasible``). With several objectives or constraints
            on outcomes: an order of the trials.
        first: (n,) the first objective in the same way, infinite also where a constraint is broken.
        numbers: (n,) of the trials.
    """

    columns: Columns
    points: Array
    losses: Array
    first: Array
    numbers: NDArray[np.intp]


def tried(history: History, space: Space | None = None) -> Tried:
    """Return the trials that have a value, or that cannot be trained.

    Under a scheduler that ends trials early those under way that have reported are among them.
    Trials trained for fewer epochs than the rest are carried to the common budget, see ``observe``.
    """
    import numpy as np

    space = history.space if space is None else space
    seen = observe(history, space)
    numbers = np.concatenate([seen.numbers, seen.infeasible_numbers])
    lost = np.full(len(seen.infeasible_numbers), np.inf)
    order = np.argsort(numbers, kind="stable")
    points = places_of(history, space)[numbers].reshape(len(numbers), seen.dimension)
    losses = np.concatenate([seen.losses, lost])
    broken = (seen.excesses > 0).any(axis=1)
    first = np.concatenate([np.where(broken, np.inf, seen.outcomes[:, 0]), lost])
    return Tried(columns_of(space), points[order], losses[order], first[order], numbers[order])
