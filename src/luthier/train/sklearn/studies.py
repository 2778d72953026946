"""What a search asks of its study: a scheduler that fits folds, the same data when it goes on."""

from __future__ import annotations

from typing import Any, cast

import joblib

from luthier.errors import StudyError
from luthier.schedule import SCHEDULERS
from luthier.schedule.asha import ASHA
from luthier.study.study import Study
from luthier.train.sklearn.task import Task

_LEAST_FOLDS = 5  # with fewer, a third of them is one, which says too little
_DATA = "scikit-learn data"  # the study's attribute that tells its data and folds from others


def scheduler_for_folds(count: int) -> ASHA | None:
    """Return what compares candidates after a third of *count* folds, and no fewer than two."""
    if count < _LEAST_FOLDS:
        return None
    return ASHA(epochs=count, minimum=1 if count < 9 else 2, stops=True)


def promotes(scheduler: Any) -> bool:
    """Return whether a scheduler pauses candidates between folds."""
    if isinstance(scheduler, str):
        made = SCHEDULERS.get(scheduler.replace("_", " ").lower())
        scheduler = made and cast(Any, made)(epochs=9)  # any number will do
    return bool(getattr(scheduler, "promotes", False))


def check_same_data(study: Study, task: Task) -> None:
    """Write down which data and folds the study is about; refuse to go on with others.

    Raises:
        StudyError: they are others.
    """
    digest = str(joblib.hash((task.X, task.y, task.splits)))
    known = study.history.attributes.get(-1, {}).get(_DATA)
    if known is None:
        study.set_attribute(_DATA, digest)
    elif known != digest:
        raise StudyError(
            f"Study {study.name!r} was made with other data or other folds: its scores cannot be compared "
            "with new ones. Give this study another name; or, where cv shuffles, a random_state to it."
        )


__all__ = ["check_same_data", "promotes", "scheduler_for_folds"]
