"""Takes a project of KerasTuner's over into a store of Luthier's; KerasTuner is not needed.

A project's folder has ``oracle.json`` and a ``trial_*/trial.json`` for each trial (KerasTuner 1.0 to 1.4).
Of each metric it keeps the best epoch alone, so curves cannot be recovered. Hyperband's promoted trials
are new trials there, which name the one that they go on from among their values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.compat.keras_tuner.configs import domain_of
from luthier.compat.writing import Foreign, enter
from luthier.errors import StorageError, StudyError, nearest
from luthier.run.opening import open_study
from luthier.space import Domain, Space
from luthier.study.protocols import Store
from luthier.study.records import TrialState

_STATES = {
    "COMPLETED": TrialState.COMPLETED,
    "STOPPED": TrialState.STOPPED,
    "INVALID": TrialState.DIVERGED,
    "FAILED": TrialState.FAILED,
    "RUNNING": TrialState.FAILED,
    "IDLE": TrialState.FAILED,
}


@dataclass(frozen=True)
class Imported:
    """What was taken over: the study's name, its objective in words, and how many trials."""

    study: str
    objective: str
    trials: int


def import_keras_tuner(folder: str | Path, store: Store, name: str | None = None) -> Imported:
    """Take the project in *folder* over into *store*.

    Args:
        folder: the project's, with ``oracle.json`` in it.
        store: where to.
        name: the study's; by default the project's.

    Raises:
        StorageError: no such project.
        StudyError: there is a study of that name; no trial tells what the objective is.
    """
    place = Path(folder)
    if not (place / "oracle.json").is_file():
        inside = [p.parent.name for p in place.glob("*/oracle.json")] if place.is_dir() else []
        hint = f" There are projects in it: {', '.join(sorted(inside))}." if inside else ""
        beside = [str(p) for p in place.parent.iterdir()] if place.parent.is_dir() else []
        raise StorageError(
            f"{str(place)!r} has no oracle.json: expected the folder directory/project_name of a "
            f"KerasTuner project.{hint or nearest(str(place), beside)}"
        )
    name = name or place.resolve().name
    if name in store.names():
        raise StudyError(
            f"There is a study {name!r} here already: give another --study, or another --storage."
        )
    trials = [json.loads(p.read_text()) for p in sorted(place.glob("trial_*/trial.json"))]
    ordered = _in_order(trials, json.loads((place / "oracle.json").read_text()))
    metric, direction = _objective(ordered)
    space = _space([trial["hyperparameters"] for trial in ordered])
    study = open_study(
        name,
        space,
        maximize=metric if direction == "max" else None,
        minimize=metric if direction == "min" else None,
        scheduler=None,
        storage=store,
        define_by_run=True,
    )
    study.set_attribute("imported from", "KerasTuner")
    enter(study, [_foreign(trial, space, metric) for trial in ordered])
    return Imported(name, str(study.objective), len(ordered))


def _in_order(trials: list[dict[str, Any]], oracle: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trials in the order in which they were begun."""
    begun = {key: at for at, key in enumerate(oracle.get("start_order", []))}
    return sorted(trials, key=lambda t: (begun.get(t["trial_id"], len(begun)), t["trial_id"]))


def _objective(trials: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the metric whose best value every trial's score is, and its direction.

    Raises:
        StudyError: there is none.
    """
    scored = [t for t in trials if t.get("score") is not None]
    found: dict[str, str] = {}
    for trial in scored[:1]:
        found = {name: of["direction"] for name, of in trial["metrics"]["metrics"].items()}
    for name, direction in sorted(found.items(), key=lambda pair: not pair[0].startswith("val_")):
        if all(_same(_values(t, name), t["score"]) for t in scored):
            return name, direction or "min"
    raise StudyError(
        f"No trial of this project tells what its objective is: {len(scored)} of {len(trials)} have a "
        "score, and it is no metric of theirs."
    )


def _values(trial: dict[str, Any], metric: str) -> list[float]:
    of = trial["metrics"]["metrics"].get(metric, {"observations": []})
    return [sum(o["value"]) / len(o["value"]) for o in of["observations"] if o["value"]]


def _same(values: list[float], score: float) -> bool:
    return any(math.isclose(value, score, rel_tol=1e-6) for value in values)


def _space(found: list[dict[str, Any]]) -> Space:
    """Return the ranges of all trials; what came up later joins, and conditions hold."""
    domains: dict[str, Domain] = {}
    for entry in (part for hp in found for part in hp["space"]):
        config: dict[str, Any] = entry["config"]
        if config["name"] not in domains:
            domains[config["name"]] = _conditional(
                domain_of(entry["class_name"], config), config, domains
            )
    return Space(domains)


def _conditional(domain: Domain, config: dict[str, Any], known: Mapping[str, Domain]) -> Domain:
    for condition in config.get("conditions") or []:
        parent, values = condition["config"]["name"], condition["config"]["values"]
        if parent in known and all(map(known[parent].contains, values)):
            domain = domain.when(**{parent: list(values)})
    return domain


def _foreign(trial: dict[str, Any], space: Space, metric: str) -> Foreign:
    values: dict[str, Any] = trial["hyperparameters"]["values"]
    configuration: dict[str, Any] = {}
    for name, domain in space.domains.items():
        if name in values and space.is_active(name, configuration):
            value = values[name]
            configuration[name] = (
                domain.check(name, value) if domain.contains(value) else _closest(domain, value)
            )
    hidden = {name: value for name, value in values.items() if name not in space}
    state = _STATES.get(trial.get("status", ""), TrialState.FAILED)
    # Hyperband: the epochs trained; elsewhere the best epoch, the only one that is kept, counted from 0.
    step = int(values.get("tuner/epochs") or 0) or int(trial.get("best_step") or 0) + 1
    metrics = {
        name: found[0]
        for name in trial["metrics"]["metrics"]
        if (found := _values(trial, name)) and math.isfinite(found[0])
    }
    if state is TrialState.COMPLETED and metric not in metrics:
        state = TrialState.DIVERGED
    return Foreign(
        configuration,
        [(step, metrics)] if metric in metrics else [],
        state,
        why=(trial.get("message") or "").strip().rpartition("\n")[2],
        notes=hidden,
    )


def _closest(domain: Domain, value: Any) -> Any:
    """Return the value of *domain* that is nearest to one which floating point has moved."""
    return domain.decode(domain.encode(value))
