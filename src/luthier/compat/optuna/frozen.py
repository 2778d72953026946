"""What the log knows of a trial, in Optuna's words."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from typing import Any

from luthier.compat.optuna.distributions import CategoricalDistribution, to_distribution
from luthier.compat.optuna.frozen_trial import CONSTRAINT
from luthier.compat.optuna.labels import Objects
from luthier.compat.optuna.trial import FrozenTrial, TrialState
from luthier.space import Domain, Space
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.records import TrialRecord
from luthier.study.records import TrialState as OwnState

VERBATIM = "asked for by name:"  # attributes of the study, for names that end like 'w#2'
_NUMBERED = re.compile(r"(.+)#\d+")
_STATES = {
    OwnState.QUEUED: TrialState.WAITING,
    OwnState.RUNNING: TrialState.RUNNING,
    OwnState.PAUSED: TrialState.RUNNING,
    OwnState.COMPLETED: TrialState.COMPLETE,
    OwnState.STOPPED: TrialState.PRUNED,
    OwnState.DIVERGED: TrialState.FAIL,
    OwnState.FAILED: TrialState.FAIL,
}


def numbered(name: str) -> bool:
    """Return whether *name* ends as those do that Luthier gives to a second range under one name."""
    return _NUMBERED.fullmatch(name) is not None


def name_of(history: History, key: str) -> str:
    """Return the name as the script has it; of other choices under one name, all have the same.

    A key such as 'w#2' is Luthier's own word for a second 'w', or a name that the script gave: it is taken
    for the latter where the script is known to have asked for it, where the study's space was declared
    with it, and where there is no 'w'.
    """
    found = _NUMBERED.fullmatch(key)
    if found is None or VERBATIM + key in history.attributes.get(-1, {}):
        return key
    declared = found[1] not in history.space or key in Space.from_dict(history.header.space)
    return key if declared else found[1]


def metrics_of(directions: int) -> list[str]:
    """Return what the objectives are called in the log."""
    return ["value"] if directions == 1 else [f"value_{i}" for i in range(directions)]


def names_of(history: History) -> list[str]:
    """Return the objectives' names in the order in which the script has them."""
    names = [goal.metric for goal in history.goals.objectives]
    noted = history.attributes.get(-1, {}).get("objectives")
    if noted is not None and sorted(noted) == sorted(names):
        return list(noted)
    return metrics_of(len(names)) if sorted(names) == metrics_of(len(names)) else names


def frozen(history: History, record: TrialRecord) -> FrozenTrial:
    """Return the trial as Optuna would: a pruned one has its last report as its value."""
    notes = history.attributes.get(record.number, {})
    values = _values(history, record)
    state = _STATES[record.state]
    if state is TrialState.FAIL and values and not any(map(math.isnan, values)):
        state = TrialState.COMPLETE  # Optuna takes an infinite value for one
    ended = state.is_finished()
    named = _left(notes, "constraint:").items()
    constraints = {f"{CONSTRAINT}{name}": value for name, value in named}
    return FrozenTrial(
        record.number,
        state,
        None,
        _time(record.proposed_at),
        _time(record.ended_at if ended else None),
        {name_of(history, key): value for key, value in record.configuration.items()},
        {
            name_of(history, key): to_distribution(_domain_of(history, key, value))
            for key, value in record.configuration.items()
            if key in history.space.domains
        },
        _prefixed(notes, "user:"),
        _left(notes, "system:") | constraints,
        intermediate(history, record),
        values=values if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
    )


def _domain_of(history: History, key: str, value: Any) -> Domain:
    """Return what *key* could be: as it stands, or as it stood when it held *value*."""
    now = history.space.domains[key]
    for domain in (now, *reversed(history.formerly.get(key, []))):
        if domain.contains(value):
            return domain
    return now


def give_objects(trial: FrozenTrial, objects: Objects) -> None:
    """Put the choices themselves where the log has their names, as far as *objects* knows them."""
    for name, value in trial.params.items():
        trial.params[name] = objects.of(name, value)
        distribution = trial.distributions.get(name)
        if isinstance(distribution, CategoricalDistribution):
            choices = [objects.of(name, choice) for choice in distribution.choices]
            trial.distributions[name] = CategoricalDistribution(choices)


def intermediate(history: History, record: TrialRecord) -> dict[int, float]:
    """Return the intermediate values: those noted by this door, else the reports before the last."""
    notes = history.attributes.get(record.number, {})
    noted = {
        int(name.removeprefix("step ")): float(value)
        for name, value in notes.items()
        if name.startswith("step ") and value is not None  # of a run that was begun again
    }
    if "first step" in history.attributes.get(-1, {}):  # curves, but for trials that had none
        alone = "final" not in notes
    else:
        alone = len(record.steps) < 2
    if noted or alone or len(history.goals.objectives) > 1:
        return noted
    curve = record.curve(history.objective.metric)
    shift = history.attributes.get(-1, {}).get("first step", 1) - 1
    return {step + shift: value for step, value in zip(record.steps, curve, strict=True)}


def _values(history: History, record: TrialRecord) -> list[float] | None:
    """Return the trial's values: of the end where this door wrote them, else of the best step.

    This door reports once, at the end: so do trials that were taken over, but for those with a curve, which
    have a note of it. What is infinite there in an objective is a value like any other.
    """
    if not record.steps:
        return None
    final = history.attributes.get(record.number, {}).get("final")
    if final is not None:
        return [float(final)]
    last = record.metrics[-1]
    ended_badly = record.state in (OwnState.STOPPED, OwnState.DIVERGED)
    of_end = ended_badly or not record.best_step or len(record.steps) == 1
    return [
        last.get(name, math.nan) if of_end else outcome(record, name) for name in names_of(history)
    ]


def _prefixed(notes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in notes.items() if k.startswith(prefix)}


def _left(notes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what was set and not voided since, as it is where a trial is run again."""
    return {name: value for name, value in _prefixed(notes, prefix).items() if value is not None}


def _time(seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds)
