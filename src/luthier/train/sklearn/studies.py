"""What a search asks of its study: how many candidates, a scheduler that fits folds, the same scores."""

from __future__ import annotations

import warnings
from itertools import islice
from typing import Any, cast

import joblib

from luthier.errors import LuthierWarning, SpaceError, StudyError
from luthier.schedule import SCHEDULERS
from luthier.schedule.asha import ASHA
from luthier.schedule.population import PopulationBasedTraining, Replay
from luthier.schedule.race import Race
from luthier.search.grid import Grid
from luthier.space import Space
from luthier.study.study import Study
from luthier.train.sklearn.fingerprint import PYTHON, fingerprint
from luthier.train.sklearn.task import Task

_CANDIDATES = 10  # where nobody says how many
_LEAST_FOLDS = 5  # with fewer, a third of them is one, which says too little
_DATA = "scikit-learn data"  # the study's attribute that tells its data and folds from others
_SETTINGS = "scikit-learn settings"  # and this one its estimator and scoring


def candidates(wanted: int | None, searcher: Any, space: Space) -> int:
    """Return how many candidates to try: no more than there are.

    Args:
        wanted: ``n_iter``; None is 10, and every combination for a grid.
        searcher: as for ``luthier.tune``.
        space: what is searched.

    Warns:
        LuthierWarning: *wanted* is more than there are, or leaves out some of a grid.

    Raises:
        SpaceError: a grid over a continuous hyperparameter.
    """
    wanted = None if wanted is None else int(wanted)  # numpy has whole numbers of its own
    grid = Grid() if searcher == "grid" else searcher
    if isinstance(grid, Grid):
        total = grid.size(space)
        assert total is not None
        if wanted is not None and wanted < total:
            _warn(
                f"n_iter={wanted}: {wanted} of the grid's {total} combinations are tried. Leave n_iter out to "
                'try them all, or searcher="grid" for a search that chooses among them.'
            )
    else:
        total = _combinations(space, (wanted or _CANDIDATES) + 1)
    if total is None:
        return wanted or _CANDIDATES
    if wanted is not None and wanted > total and not isinstance(grid, Grid):
        _warn(
            f"n_iter={wanted}, but there {'is' if total == 1 else 'are'} only {total} "
            f"combination{'s' * (total > 1)} of hyperparameters: no more are tried."
        )
    return min(wanted or (total if isinstance(grid, Grid) else _CANDIDATES), total)


def _combinations(space: Space, most: int) -> int | None:
    """Return how many configurations there are, counted up to *most*; None for no end of them."""
    if any(domain.cardinality is None for domain in space.domains.values()):
        return None
    try:
        # Constraints that leave nothing: the searcher says so.
        return sum(1 for _ in islice(space.grid(), most)) or None
    except SpaceError:  # over a million
        return None


def _warn(text: str) -> None:
    warnings.warn(text, LuthierWarning, stacklevel=6)  # at the user's call of fit


def scheduler_for_folds(count: int, begun: Study | None = None) -> ASHA | None:
    """Return what compares candidates after a third of *count* folds; None where that is too few.

    A study that was *begun* by a version that compared them earlier, too, goes on as it was.
    """
    if count < _LEAST_FOLDS:
        return None
    found = ASHA(epochs=count, minimum=count // 3, stops=True)
    before = ASHA(epochs=count, minimum=1 if count < 9 else 2, stops=True)
    own = None if begun is None else begun.scheduler
    return before if isinstance(own, Race) and own.inner == before else found


def refuse_copies(scheduler: Any) -> None:
    """Refuse a scheduler that has candidates go on from one another with other parameters.

    An estimator's parameters are in what it has learned, too (such as its optimizer's rate), and of folds that
    are done the scores are another candidate's.

    Raises:
        StudyError: it is one of those.
    """
    by_name = isinstance(scheduler, str)
    kind = SCHEDULERS.get(_as_known(scheduler)) if by_name else type(scheduler)
    if kind is not None and issubclass(kind, PopulationBasedTraining | Replay):
        raise StudyError(
            f"scheduler={scheduler!r} has candidates go on from others' checkpoints with other parameters, "
            "which a scikit-learn estimator does not take up in the middle of its training. Choose one that "
            "compares candidates from their start, such as 'asha' or 'hyperband'."
        )


def promotes(scheduler: Any) -> bool:
    """Return whether a scheduler pauses candidates between folds."""
    if isinstance(scheduler, str):
        made = SCHEDULERS.get(_as_known(scheduler))
        scheduler = made and cast(Any, made)(epochs=9)  # any number will do
    return bool(getattr(scheduler, "promotes", False))


def _as_known(scheduler: str) -> str:
    return scheduler.replace("_", " ").lower()


def scores_of(task: Task, scoring: Any, *, by_epochs: bool) -> dict[str, Any]:
    """Return what the scores of a search are of, as a study's attributes.

    Args:
        task: the search.
        scoring: as the user gave it.
        by_epochs: whether estimators train by ``partial_fit``.
    """
    found = fingerprint(task, scoring, by_epochs=by_epochs)
    return {
        _DATA: str(joblib.hash((task.X, task.y, task.splits))),
        _SETTINGS: {"words": found.words, "code": found.code, "python": PYTHON},
    }


def check_same(study: Study, scores: dict[str, Any], searched: frozenset[str]) -> None:
    """Refuse to go on with a study whose scores are of something else.

    What it does not say, since a version before this one began it, may be anything.

    Args:
        study: the one that is there.
        scores: what ``scores_of`` has returned for the search that is to go on.
        searched: parameters that every configuration sets; what they were before is no matter.

    Raises:
        StudyError: the study is of other data, folds, estimators or scorers.
    """
    known = study.history.attributes.get(-1, {})
    if known.get(_DATA, scores[_DATA]) != scores[_DATA]:
        raise StudyError(
            f"Study {study.name!r} was made with other data or other folds: its scores cannot be compared "
            "with new ones. Give this study another name; or, where cv shuffles, a random_state to it."
        )
    before = known.get(_SETTINGS)
    if not isinstance(before, dict):
        return
    if differences := _differences(cast("dict[str, Any]", before), scores[_SETTINGS], searched):
        raise StudyError(
            f"Study {study.name!r} exists with other settings: {'; '.join(differences)}. Its scores "
            "cannot be compared with new ones: use the same settings to go on with it, or give this "
            "study another name."
        )


def write_down(study: Study, scores: dict[str, Any]) -> None:
    """Write into a study what its scores are of, where it does not say so."""
    known = study.history.attributes.get(-1, {})
    for name, value in scores.items():
        if name not in known:
            study.set_attribute(name, value)


def _differences(
    known: dict[str, Any], present: dict[str, Any], searched: frozenset[str]
) -> list[str]:
    before, now = known.get("words", {}), present["words"]
    names = [name for name in dict.fromkeys([*before, *now]) if name not in searched]
    found = [
        f"{name} was {before.get(name, 'its default')}, is now {now.get(name, 'its default')}"
        for name in names
        if before.get(name) != now.get(name)
    ]
    if not found and known.get("python") == present["python"]:
        before, now = known.get("code", {}), present["code"]
        found = [
            f"the code of {name} ({present['words'][name]}) changed"
            for name in names
            if name in before and name in now and before[name] != now[name]
        ]
    return found


__all__ = [
    "candidates",
    "check_same",
    "promotes",
    "refuse_copies",
    "scheduler_for_folds",
    "scores_of",
    "write_down",
]
