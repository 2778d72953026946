"""Optuna's door: ``import luthier.compat.optuna as optuna``, and the script runs on Luthier.

The study is a study of Luthier's, in its store, with its searchers and rules; the words are Optuna's.
``docs/migration.md`` lists what is supported and what is not.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from luthier.compat.optuna import (
    distributions,
    exceptions,
    logging,
    pruners,
    samplers,
    storages,
    study,
    trial,
)
from luthier.compat.optuna.exceptions import DuplicatedStudyError, TrialPruned
from luthier.compat.optuna.frozen import metrics_of
from luthier.compat.optuna.pruners import BasePruner
from luthier.compat.optuna.samplers import BaseSampler, RandomSampler, TPESampler
from luthier.compat.optuna.storages import BaseStorage, new_name, store_of
from luthier.compat.optuna.study import MaxTrialsCallback, Study, StudyDirection
from luthier.compat.optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from luthier.errors import StudyError, nearest
from luthier.run.opening import open_study
from luthier.search import Auto
from luthier.study.log import copy_log
from luthier.version import __version__

Storage = str | BaseStorage | None


@dataclass(frozen=True)
class _Default(BaseSampler):
    """What a study has that was given no sampler: Luthier's own default."""

    def searcher(self) -> Any:
        return Auto()


def create_study(
    *,
    storage: Storage = None,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
    study_name: str | None = None,
    direction: str | StudyDirection | None = None,
    load_if_exists: bool = False,
    directions: Sequence[str | StudyDirection] | None = None,
) -> Study:
    """Make a study.

    Args:
        storage: an SQLite file or PostgreSQL by its URL; None keeps it in memory.
        sampler: see ``samplers``; None is Luthier's own default, not TPE.
        pruner: see ``pruners``; by default the median pruner, as in Optuna.
        study_name: under which it is found again.
        direction: "minimize" (default) or "maximize".
        load_if_exists: go on with the study of that name; its own searcher and seed stay.
        directions: one for each of several objectives.

    Raises:
        DuplicatedStudyError: there is one of that name.
        StudyError: no such direction, or a sampler that this door has not.
        StorageError: a database that Luthier does not write, or that is Optuna's own.
    """
    if direction is not None and directions is not None:
        raise StudyError("create_study: give direction= or directions=, not both.")
    if directions is not None and not len(directions):
        raise StudyError("create_study: directions is empty; give one for each objective.")
    wanted = [_direction(d) for d in (directions or [direction or "minimize"])]
    store, name = store_of(storage), study_name or new_name()
    chosen = sampler or _Default()
    if name in store.names():
        if not load_if_exists:
            raise DuplicatedStudyError(
                f"There is a study {name!r} already: give load_if_exists=True to go on with it, or "
                "another study_name."
            )
        return Study(open_study(name, storage=store), chosen, pruner)
    metrics = metrics_of(len(wanted))
    own = open_study(
        name,
        chosen.space(),
        maximize=[m for m, d in zip(metrics, wanted, strict=True) if d == "maximize"] or None,
        minimize=[m for m, d in zip(metrics, wanted, strict=True) if d == "minimize"] or None,
        searcher=chosen.searcher(),
        scheduler=None,
        seed=chosen.seed or 0,
        storage=store,
        define_by_run=True,
    )
    where = "memory" if store.address == "memory" else store.address
    logging.get_logger().info("A new study created in %s with name: %s", where, name)
    return Study(own, chosen, pruner)


def load_study(
    *,
    study_name: str | None,
    storage: Storage,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> Study:
    """Open a study that exists.

    Raises:
        NoSuchStudy: there is none of that name; a KeyError, too.
        StudyError: no name was given, and there are several.
    """
    store = store_of(storage)
    names = store.names()
    if study_name is None:
        if len(names) != 1:
            raise StudyError(f"load_study: give study_name, one of {names}.")
        study_name = names[0]
    if study_name not in names:
        raise exceptions.NoSuchStudy(
            f"There is no study {study_name!r} in {store.address}.{nearest(study_name, names)}"
        )
    return Study(open_study(study_name, storage=store), sampler or _Default(), pruner)


def copy_study(
    *,
    from_study_name: str,
    from_storage: Storage,
    to_storage: Storage,
    to_study_name: str | None = None,
) -> None:
    """Copy a study to another store, under its own name.

    Raises:
        StudyError: another name: a log holds its own.
    """
    if to_study_name not in (None, from_study_name):
        raise StudyError("copy_study: a copy keeps its name; leave to_study_name out.")
    copy_log(store_of(from_storage), store_of(to_storage), from_study_name)


def get_all_study_names(storage: Storage) -> list[str]:
    """Return the names of all studies in a store."""
    return store_of(storage).names()


@dataclass(frozen=True)
class StudySummary:
    """A study in a line."""

    study_name: str
    directions: list[StudyDirection]
    best_trial: FrozenTrial | None
    n_trials: int
    user_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    datetime_start: datetime.datetime | None = None

    @property
    def direction(self) -> StudyDirection:
        """Return the first direction."""
        return self.directions[0]


def get_all_study_summaries(
    storage: Storage, include_best_trial: bool = True
) -> list[StudySummary]:
    """Return a summary of each study in a store."""
    found: list[StudySummary] = []
    for name in get_all_study_names(storage):
        one = load_study(study_name=name, storage=storage)
        best = None
        if (
            include_best_trial
            and len(one.directions) == 1
            and one.get_trials(states=(TrialState.COMPLETE,))
        ):
            best = one.best_trial
        trials = one.get_trials(deepcopy=False)
        begun = min((t.datetime_start for t in trials if t.datetime_start), default=None)
        found.append(StudySummary(name, one.directions, best, len(trials), one.user_attrs, begun))
    return found


def _direction(given: str | StudyDirection) -> str:
    word = given.name.lower() if isinstance(given, StudyDirection) else str(given)
    if word not in ("minimize", "maximize"):
        raise StudyError(f"Unknown direction {given!r}: expected 'minimize' or 'maximize'.")
    return word


def __getattr__(name: str) -> Any:
    if name == "importance":
        return import_module("luthier.compat.optuna.importance")
    raise AttributeError(
        f"luthier.compat.optuna has no {name!r}: docs/migration.md lists what it has. Optuna itself reads "
        "what luthier export STUDY --to optuna.db writes."
    )


__all__ = [
    "DuplicatedStudyError",
    "FrozenTrial",
    "MaxTrialsCallback",
    "RandomSampler",
    "Study",
    "StudyDirection",
    "StudySummary",
    "TPESampler",
    "Trial",
    "TrialPruned",
    "TrialState",
    "__version__",
    "copy_study",
    "create_study",
    "create_trial",
    "distributions",
    "exceptions",
    "get_all_study_names",
    "get_all_study_summaries",
    "load_study",
    "logging",
    "pruners",
    "samplers",
    "storages",
    "study",
    "trial",
]
