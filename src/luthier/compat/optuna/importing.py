"""Takes studies of Optuna's over into a store of Luthier's, values and all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from luthier.compat.optuna.distributions import to_domain
from luthier.compat.optuna.enqueuing import enqueued
from luthier.compat.optuna.frozen import metrics_of
from luthier.compat.optuna.labels import label_of, place_of
from luthier.compat.optuna.reading import Kept, read_studies
from luthier.compat.optuna.trial import FrozenTrial, TrialState
from luthier.compat.optuna.widening import wider
from luthier.compat.writing import Foreign, enter
from luthier.errors import StudyError, nearest
from luthier.run.opening import open_study
from luthier.space import Domain, Space
from luthier.study import events as ev
from luthier.study.protocols import Store
from luthier.study.records import TrialState as OwnState


@dataclass(frozen=True)
class Imported:
    """What was taken over of one study.

    Attributes:
        study: its name.
        trials: how many.
        curves: whether the intermediate values became the trials' curves, because what each trial
            returned is one of them; else they are notes.
    """

    study: str
    trials: int
    curves: bool


def import_optuna(url: str, store: Store, study: str | None = None) -> list[Imported]:
    """Take all studies in *url*, or the one called *study*, over into *store*.

    A trial that was running is taken for a failed one; those that were waiting are enqueued.

    Raises:
        StorageError: no storage of Optuna's.
        StudyError: no such study there, or one of that name here.
    """
    found = read_studies(url)
    names = [kept.name for kept in found]
    if study is not None and study not in names:
        raise StudyError(
            f"There is no study {study!r} in {url}.{nearest(study, names)} There are: "
            f"{', '.join(map(repr, names)) or 'none'}."
        )
    wanted = [kept for kept in found if study in (None, kept.name)]
    for kept in wanted:
        if kept.name in store.names():
            raise StudyError(
                f"There is a study {kept.name!r} here already: give another file with --storage."
            )
    return [_taken_over(kept, store) for kept in wanted]


def _taken_over(kept: Kept, store: Store) -> Imported:
    names = _names(kept)
    space = _space(kept.trials)
    own = open_study(
        kept.name,
        space,
        maximize=[n for n, d in zip(names, kept.directions, strict=True) if d == "maximize"]
        or None,
        minimize=[n for n, d in zip(names, kept.directions, strict=True) if d != "maximize"]
        or None,
        scheduler=None,
        storage=store,
        define_by_run=True,
    )
    now = own.clock.time()
    notes: dict[str, Any] = {"objectives": names, "imported from": "Optuna"}
    if kept.metric_names is not None:
        notes["metric_names"] = kept.metric_names
    notes |= {f"user:{name}": value for name, value in kept.user_attrs.items()}
    curves = _are_curves(kept)
    first = min((min(t.intermediate_values, default=1) for t in kept.trials), default=1)
    if curves:
        notes["first step"] = first
    own.append([ev.AttributeSet(time=now, trial=-1, name=n, value=v) for n, v in notes.items()])
    run = [t for t in kept.trials if t.state is not TrialState.WAITING]
    enter(own, [_foreign(trial, space, names, first if curves else None) for trial in run])
    for trial in kept.trials:
        if trial.state is TrialState.WAITING:
            asked = trial.system_attrs.get("fixed_params", trial.params)
            own.append(enqueued(now, dict(asked), trial.user_attrs))
    return Imported(kept.name, len(run), curves)


def _names(kept: Kept) -> list[str]:
    """Return what the objectives are called in the log: as there, unless two are called the same."""
    names = kept.metric_names or []
    told = all(name.strip() for name in names) and len(set(names)) == len(kept.directions)
    return names if told else metrics_of(len(kept.directions))


def _space(trials: list[FrozenTrial]) -> Space:
    """Return what holds every trial: where a range changed, the widest."""
    found: dict[str, Domain] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            key, domain = name, to_domain(distribution)
            found[key] = wider(found[key], domain) if key in found else domain
    return Space(found)


def _are_curves(kept: Kept) -> bool:
    """Return whether what trials report on their way is what they return in the end."""
    done = [t for t in kept.trials if t.state is TrialState.COMPLETE and t.intermediate_values]
    return len(kept.directions) == 1 and all(
        t.values is not None and t.values[0] in t.intermediate_values.values() for t in done
    )


def _foreign(trial: FrozenTrial, space: Space, names: list[str], first_step: int | None) -> Foreign:
    configuration: dict[str, Any] = {}
    for name, value in trial.params.items():
        choices = getattr(trial.distributions[name], "choices", ())
        place = place_of(value, choices)
        label = value if place is None else label_of(place, value)
        configuration[name] = space[name].check(name, label)
    notes: dict[str, Any] = {f"user:{k}": v for k, v in trial.user_attrs.items()}
    notes |= {f"system:{k}": v for k, v in trial.system_attrs.items() if k != "fixed_params"}
    steps = sorted(trial.intermediate_values.items())
    values = trial.values
    if trial.state is TrialState.PRUNED and not values and steps:
        values = [steps[-1][1]]
    reports: list[tuple[int, dict[str, float]]] = []
    if first_step is not None and steps:
        reports = [(step - first_step + 1, {names[0]: value}) for step, value in steps]
        notes["final"] = values[0] if values is not None else None
    else:
        notes |= {f"step {step}": value for step, value in steps}
        if values is not None:
            reports = [(1, dict(zip(names, values, strict=True)))]
    return Foreign(
        configuration,
        reports,
        _state(trial, reports),
        "it was running when it was taken over" if trial.state is TrialState.RUNNING else "",
        trial.datetime_start.timestamp() if trial.datetime_start else 0.0,
        trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0,
        notes,
    )


def _state(trial: FrozenTrial, reports: list[tuple[int, dict[str, float]]]) -> OwnState:
    match trial.state:
        case TrialState.COMPLETE:
            finite = all(map(math.isfinite, reports[-1][1].values())) if reports else False
            return OwnState.COMPLETED if finite else OwnState.DIVERGED
        case TrialState.PRUNED:
            return OwnState.STOPPED
        case _:
            return OwnState.FAILED


__all__ = ["Imported", "import_optuna"]
