"""Trials that were run elsewhere, entered in a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    to_domain,
)
from luthier.compat.optuna.frozen import names_of
from luthier.compat.optuna.frozen_trial import FrozenTrial, TrialState, check_trial
from luthier.compat.optuna.labels import label_of, place_of
from luthier.compat.optuna.widening import wider
from luthier.compat.writing import Foreign, enter
from luthier.errors import StudyError
from luthier.space import Choice, Space
from luthier.study import events as ev
from luthier.study.protocols import Conflict
from luthier.study.records import TrialState as OwnState

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

_OWN_STATES = {
    TrialState.COMPLETE: OwnState.COMPLETED,
    TrialState.PRUNED: OwnState.STOPPED,
    TrialState.FAIL: OwnState.FAILED,
}


def added(study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Enter trials from elsewhere, and the parts of the space that they bring: all of them, or none.

    Raises:
        StudyError: what no trial can be; values that are not one for each objective; a trial that runs.
    """
    for trial in trials:
        _check(study, trial)
    if not trials:
        return
    foreign = _grow(study, trials)
    for trial in trials:
        for name, distribution in trial.distributions.items():
            study.meet(name, distribution)
    enter(study.own, foreign)


def _grow(study: Study, trials: Sequence[FrozenTrial]) -> list[Foreign]:
    """Have the study's space hold *trials*, and return them as they are entered.

    It grows as if the script had asked for those ranges: what it asks for later on stays within its own.
    """
    while True:
        history = study.own.refresh()
        space = history.space
        for trial in trials:
            for name, distribution in trial.distributions.items():
                space = _with(space, name, distribution, _in_log(trial, name))
        foreign = [_foreign(study, space, trial) for trial in trials]
        if space == history.space:
            return foreign
        study.own.searcher.size(space)  # a grid of a continuous range says what it lacks
        grown = ev.SpaceGrown(
            time=study.own.clock.time(), trial=len(history.trials), space=space.to_dict()
        )
        try:
            study.own.append([grown], expect=history.cursor)
        except Conflict:
            continue
        return foreign


def _with(space: Space, name: str, distribution: BaseDistribution, value: Any) -> Space:
    """Return *space* with a parameter that holds *value*."""
    domain, known = to_domain(distribution), space.domains.get(name)
    if known is None:
        return space.with_domain(name, domain)
    if known.contains(value):
        return space
    if isinstance(known, Choice) or isinstance(domain, Choice):
        raise StudyError(
            f"add_trial: {name}={value!r} is from {distribution!r}, and here it is {known!r}: other "
            "choices are another parameter, with another name."
        )
    return space.with_domain(name, wider(known, domain))


def _check(study: Study, trial: FrozenTrial) -> None:
    if not isinstance(trial, FrozenTrial):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(
            f"add_trial({trial!r}): expected a trial of study.trials or of create_trial(...)."
        )
    check_trial(trial, "add_trial")
    expected = len(study.directions)
    if trial.values and len(trial.values) != expected:
        raise StudyError(
            f"add_trial: the study has {expected} objective(s), and the trial the values "
            f"{trial.values!r}; give one for each."
        )
    if trial.state is TrialState.RUNNING:
        raise StudyError(
            "add_trial: a running trial belongs to the process that runs it. Add it when it has ended, "
            "or as state=TrialState.WAITING to have its parameters tried here."
        )


def _in_log(trial: FrozenTrial, name: str) -> Any:
    """Return what the log has for a parameter of *trial*."""
    value, distribution = trial.params[name], trial.distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        place = place_of(value, distribution.choices)
        assert place is not None
        return label_of(place, distribution.choices[place])
    return value


def _foreign(study: Study, space: Space, trial: FrozenTrial) -> Foreign:
    configuration = {name: space[name].check(name, _in_log(trial, name)) for name in trial.params}
    numbers = None if trial.values is None else list(map(float, trial.values))
    if trial.state is TrialState.PRUNED and not numbers and trial.last_step is not None:
        numbers = [trial.intermediate_values[trial.last_step]]
    names = names_of(study.own.history)
    notes: dict[str, Any] = {f"step {s}": v for s, v in trial.intermediate_values.items()}
    notes |= {f"user:{name}": value for name, value in trial.user_attrs.items()}
    notes |= {f"system:{name}": value for name, value in trial.system_attrs.items()}
    return Foreign(
        configuration,
        [(1, dict(zip(names, numbers, strict=True)))] if numbers else [],
        _OWN_STATES.get(trial.state, OwnState.QUEUED),
        begun=trial.datetime_start.timestamp() if trial.datetime_start else 0.0,
        ended=trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0,
        notes=notes,
    )
