"""A project's folder, which holds a study: made, found again, or refused where it is of another search."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from luthier.compat.keras_tuner.errors import AnotherSearch
from luthier.compat.keras_tuner.executions import BEST
from luthier.compat.keras_tuner.oracles import Oracle
from luthier.errors import CheckpointError
from luthier.run.opening import Opening, header_for, open_study
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.goals import goals_from
from luthier.study.records import TrialRecord
from luthier.study.study import Study

_STORE = "luthier.db"


def opened(place: Path, name: str, space: Space, oracle: Oracle) -> Study:
    """Open the project's study, or make it; a space that the script has changed is taken over.

    Raises:
        AnotherSearch: its trials are of another searcher, scheduler or objective.
    """
    place.mkdir(parents=True, exist_ok=True)
    store = place / _STORE
    maximize = [o.name for o in oracle.objectives if o.direction == "max"] or None
    minimize = [o.name for o in oracle.objectives if o.direction == "min"] or None
    searcher, scheduler, seed = oracle.searcher(space), oracle.scheduler(), oracle.seed or 0
    if store.exists():
        study = open_study(name, storage=store)
        goals = goals_from(maximize, minimize)
        opening = Opening(name, space, goals, searcher, scheduler, None, seed, define_by_run=True)
        _check(place, study.history.header, header_for(opening, 0.0), oracle)
        print(f"Reloading Tuner from {store}")
        if space != study.space and len(space):
            study.steer.space(space, reason="the script's space has changed")
    else:
        if (place / "oracle.json").exists():
            print(
                f"{place} has trials of KerasTuner's own: luthier import keras-tuner {place} takes them over."
            )
        study = open_study(
            name,
            space,
            maximize=maximize,
            minimize=minimize,
            searcher=searcher,
            scheduler=scheduler,
            seed=seed,
            storage=store,
            define_by_run=True,
        )
    if study.history.limits.trials != oracle.max_trials:
        study.steer.budget(trials=oracle.max_trials)
    return study


def _check(place: Path, kept: ev.StudyCreated, wanted: ev.StudyCreated, oracle: Oracle) -> None:
    """Refuse a project of another search: its trials would go on by rules that nobody asked for now."""
    same = {
        "searcher": kept.searcher["name"] == wanted.searcher["name"],
        "scheduler": _agree(kept.scheduler, wanted.scheduler),
        "objective": _goals(kept) == _goals(wanted),
    }
    for what, (was, now) in {
        "searcher": (kept.searcher["name"], wanted.searcher["name"]),
        "scheduler": (_words(kept.scheduler), _words(wanted.scheduler)),
        "objective": (_goals(kept), _goals(wanted)),
    }.items():
        if not same[what]:
            raise AnotherSearch(
                f"{place} has trials of another search: its {what} is {was}, not the {now} of this "
                f"{type(oracle).__name__}. Pass overwrite=True to begin anew, or another project_name."
            )


def _agree(spec: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether what both say is the same: another version may have more settings."""
    return all(other.get(key, value) == value for key, value in spec.items())


def _goals(header: ev.StudyCreated) -> str:
    goals = [(header.metric, header.direction), *header.also]
    return ", ".join(f"{direction} {metric}" for metric, direction in goals)


def _words(spec: dict[str, Any]) -> str:
    given = [f"{key}={value}" for key, value in spec.items() if key != "name" and value is not None]
    return f"{spec['name']}({', '.join(given)})" if given else spec["name"]


def forgotten(place: Path) -> None:
    """Delete the study in a project's folder, and its checkpoints."""
    for path in (*place.glob(f"{_STORE}*"), place / "luthier-checkpoints"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def model_folder(study: Study, record: TrialRecord) -> Path:
    """Return the checkpoint of a trial's best epoch, or else its newest one.

    Raises:
        CheckpointError: there is none.
    """
    checkpoints = study.checkpoints
    try:
        folder = checkpoints.path(record.number, record.best_checkpoint)
    except CheckpointError:
        folder = checkpoints.path(record.number, checkpoints.newest(record.number)[0])
    best = folder / BEST  # of several executions
    return best if best.is_dir() else folder
