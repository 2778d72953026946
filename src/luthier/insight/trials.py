"""What insight reads: the trials of a study as places in the unit cube and losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.errors import StudyError, nearest
from luthier.search.columns import Columns, columns_of
from luthier.search.observations import observe, places_of
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.study import Study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Source = Study | History


@dataclass(frozen=True)
class Tried:
    """The trials that say something about the space.

    Attributes:
        columns: the searched hyperparameters.
        points: (n, d) places in the unit cube; NaN where a hyperparameter was inactive.
        losses: (n,) the objective as something to minimise, at the common budget; infinite for trials
            that diverged or ran out of memory. With several objectives or constraints on outcomes: an
            order of the trials.
        first: (n,) the first objective in the same way, infinite also where a constraint is broken.
        numbers: (n,) of the trials.
    """

    columns: Columns
    points: Array
    losses: Array
    first: Array
    numbers: NDArray[np.intp]


def history_of(source: Source) -> History:
    """Return the history, brought up to date for a study."""
    return source.refresh() if isinstance(source, Study) else source


def tried(source: Source, space: Space | None = None) -> Tried:
    """Return the trials of *source* that have ended in a value, or that diverged or ran out of memory.

    Trials trained for fewer epochs than the rest are carried to the common budget, see ``observe``.
    """
    import numpy as np

    history = history_of(source)
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


def enough_for(what: str, found: Tried, fewest: int) -> None:
    """Refuse to judge by too little.

    Raises:
        StudyError: nothing is searched, or fewer than *fewest* trials have a finite value.
    """
    import numpy as np

    if not found.columns.dimension:
        raise StudyError(f"{what} needs a hyperparameter that is searched; the space has none.")
    finite = int(np.isfinite(found.losses).sum())
    if finite < fewest:
        raise StudyError(
            f"{what} needs at least {fewest} trials with a finite value, there are {finite}."
        )


def column_of(columns: Columns, name: str) -> int:
    """Return the column of a hyperparameter, by its full name or its name within its branch.

    Raises:
        StudyError: none is searched by that name, or several share it.
    """
    names = columns.names
    if name in names:
        return names.index(name)
    same = [i for i, known in enumerate(names) if Space.short(known) == name]
    if len(same) == 1:
        return same[0]
    known = [names[i] for i in same] or names
    raise StudyError(
        f"{name!r} is no hyperparameter that is searched: expected one of "
        f"{', '.join(map(repr, known))}.{nearest(name, known)}"
    )


def chance_of(source: Source, purpose: str) -> Chance:
    """Return the randomness of one question to one study: the same answer each time."""
    return Chance(history_of(source).header.seed, ("insight", purpose))
