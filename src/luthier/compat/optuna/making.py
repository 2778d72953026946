"""Makes studies and finds them again."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from luthier.compat.optuna import checking, pruners
from luthier.compat.optuna.exceptions import DuplicatedStudyError, NoSuchStudy
from luthier.compat.optuna.frozen import metrics_of
from luthier.compat.optuna.keeping import check_sampler, kept_sampler
from luthier.compat.optuna.logging import get_logger
from luthier.compat.optuna.overlooked import refuse_optunas
from luthier.compat.optuna.pruners import BasePruner
from luthier.compat.optuna.samplers import BaseSampler, OwnSampler, sampler_of
from luthier.compat.optuna.storages import BaseStorage, new_name, store_of
from luthier.compat.optuna.study import Study, StudyDirection
from luthier.compat.optuna.trial import FrozenTrial
from luthier.errors import StudyError, nearest
from luthier.run.opening import open_study
from luthier.study.log import copy_log
from luthier.study.protocols import Store

Storage = str | BaseStorage | None


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
        load_if_exists: go on with the study of that name; its own searcher and seed stay, with a warning
            where *sampler* is another one.
        directions: one for each of several objectives.

    Raises:
        DuplicatedStudyError: there is one of that name.
        StudyError: no such direction, or a sampler that this door has not.
        TypeError: a sampler, pruner, storage or name that is none.
        StorageError: a database that Luthier does not write, or that is Optuna's own; a study of that name
            which Optuna has in the same journal or database.
    """
    _check_arguments("create_study", sampler, pruner, storage, study_name)
    if direction is not None and directions is not None:
        raise StudyError("create_study: give direction= or directions=, not both.")
    if directions is not None and not len(directions):
        raise StudyError("create_study: directions is empty; give one for each objective.")
    if isinstance(directions, str):
        raise StudyError(
            f"create_study: directions={directions!r}: expected a list, [{directions!r}], or direction=."
        )
    wanted = [_direction(d) for d in (directions or [direction or "minimize"])]
    store, name = store_of(storage), study_name or new_name()
    chosen = sampler or OwnSampler()
    if name in store.names():
        if not load_if_exists:
            raise DuplicatedStudyError(
                f"There is a study {name!r} already: give load_if_exists=True to go on with it, or "
                "another study_name."
            )
        return _opened(name, store, sampler, pruner)
    if study_name is not None:
        refuse_optunas(storage, name)
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
    get_logger().info("A new study created in %s with name: %s", where, name)
    return Study(own, chosen, pruner)


def load_study(
    *,
    study_name: str | None,
    storage: Storage,
    sampler: BaseSampler | None = None,
    pruner: BasePruner | None = None,
) -> Study:
    """Open a study that exists.

    Its own searcher and seed stay, with a warning where *sampler* is another one: every process that works
    on a study, and a replay of its log, has to know which they are.

    Raises:
        NoSuchStudy: there is none of that name; a KeyError, too.
        StudyError: no name was given, and there are several.
        TypeError: a sampler, pruner, storage or name that is none.
        StorageError: Optuna itself has that study there.
    """
    _check_arguments("load_study", sampler, pruner, storage, study_name)
    store = store_of(storage)
    names = store.names()
    if not names or (study_name is not None and study_name not in names):
        refuse_optunas(storage, study_name)
    if study_name is None:
        if len(names) != 1:
            raise StudyError(f"load_study: give study_name, one of {names}.")
        study_name = names[0]
    if study_name not in names:
        raise NoSuchStudy(
            f"There is no study {study_name!r} in {store.address}.{nearest(study_name, names)}"
        )
    return _opened(study_name, store, sampler, pruner)


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
    store = store_of(from_storage)
    if from_study_name not in store.names():
        refuse_optunas(from_storage, from_study_name)
    copy_log(store, store_of(to_storage), from_study_name)


def get_all_study_names(storage: Storage) -> list[str]:
    """Return the names of all studies in a store.

    Raises:
        StorageError: there are none, and Optuna itself has some there.
    """
    names = store_of(storage).names()
    if not names:
        refuse_optunas(storage)
    return names


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
    """Return a summary of each study in a store; without a best trial where none keeps its constraints."""
    found: list[StudySummary] = []
    for name in get_all_study_names(storage):
        one = load_study(study_name=name, storage=storage)
        best = None
        if include_best_trial and len(one.directions) == 1:
            with contextlib.suppress(StudyError):  # none has completed, or keeps its constraints
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


def _opened(
    name: str, store: Store, sampler: BaseSampler | None, pruner: BasePruner | None
) -> Study:
    """Open a study with the sampler that it has, and warn of another one that was asked for."""
    own = open_study(name, storage=store)
    used = (
        sampler_of(own.history.header) if sampler is None else kept_sampler(own, sampler, depth=2)
    )
    return Study(own, used, pruner)


def _check_arguments(call: str, sampler: Any, pruner: Any, storage: Any, study_name: Any) -> None:
    """Refuse what is no sampler, no pruner, no storage, and no name.

    Raises:
        TypeError: one of them is not.
    """
    if sampler is not None:
        check_sampler(f"{call}: sampler", sampler)
    # A pruner of one's own need not know this door: what it does is all that it is asked for.
    if pruner is not None and (isinstance(pruner, type) or not hasattr(pruner, "prune")):
        names = [name for name in dir(pruners) if name.endswith("Pruner")]
        checking.one_of_kind(f"{call}: pruner", pruner, BasePruner, checking.example(pruner, names))
    # Luthier's own stores are any objects that can do as much.
    if storage is not None and not isinstance(storage, str) and not hasattr(storage, "names"):
        checking.one_of_kind(f"{call}: storage", storage, BaseStorage, "'sqlite:///study.db'")
    if study_name is not None and not isinstance(study_name, str):
        raise TypeError(f"{call}: study_name is {study_name!r}: expected a text.")


__all__ = [
    "StudySummary",
    "copy_study",
    "create_study",
    "get_all_study_names",
    "get_all_study_summaries",
    "load_study",
]
