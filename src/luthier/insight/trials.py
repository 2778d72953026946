"""What insight reads: the trials of a study as places in the unit cube and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from luthier.errors import StudyError, nearest
from luthier.search.columns import Columns
from luthier.search.tried import Tried
from luthier.search.tried import tried as tried_of
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.study import Study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Searched(Protocol):
    """What a search returns: it has the study."""

    @property
    def study(self) -> Study:
        """Return the study."""
        ...


Source = Study | History | Searched


def history_of(source: Source) -> History:
    """Return the history, brought up to date for a study.

    Raises:
        StudyError: *source* is no study, none's history, and nothing that a search returned.
    """
    return source if isinstance(source, History) else study_of(source).refresh()


def study_of(source: Study | Searched) -> Study:
    """Return the study.

    Raises:
        StudyError: *source* is no study, and nothing that a search returned.
    """
    found = source if isinstance(source, Study) else getattr(source, "study", None)
    if isinstance(found, Study):
        return found
    raise StudyError(
        f"Expected a study, its history or the result of a search, got {source!r}. A study of another "
        "program is opened by luthier.open(name, storage=...)."
    )


def tried(source: Source, space: Space | None = None) -> Tried:
    """Return the trials of *source* that have ended in a value, or that diverged or ran out of memory.

    Trials trained for fewer epochs than the rest are carried to the common budget, see ``observe``.
    """
    return tried_of(history_of(source), space)


def reported(history: History, found: Tried) -> Array:
    """Return the best loss that each of the trials *found* has reported (n,), carried nowhere.

    By the first objective; infinite for trials that diverged, ran out of memory or break a constraint.
    ``Tried.first`` is for a surrogate, which compares what was trained for different numbers of epochs:
    what it says of a trial that was stopped early, nobody has measured.
    """
    import numpy as np

    best = np.array([history.trials[int(n)].best_loss for n in found.numbers], dtype=np.float64)
    return np.where(np.isfinite(found.first), best, np.inf)


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
