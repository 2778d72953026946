"""What is known of a trial, and trials that answer suggestions without a study."""

from __future__ import annotations

import copy
import datetime
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar, cast

from luthier.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from luthier.compat.optuna.exceptions import NotANumber
from luthier.compat.optuna.labels import place_of
from luthier.errors import LuthierWarning, StudyError, nearest

Value = TypeVar("Value")
CONSTRAINT = (
    "constraints:"  # with which the names of Optuna's system attributes for constraints begin
)


class TrialState(IntEnum):
    """How a trial stands."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

    def __str__(self) -> str:
        """Return 'TrialState.COMPLETE', not the number."""
        return f"TrialState.{self.name}"

    def is_finished(self) -> bool:
        """Return whether it will never run again."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class BaseTrial:
    """The suggestions, which all of them answer by ``_suggest``."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a real number in [low, high]."""
        distribution = FloatDistribution(float(low), float(high), log, step)
        return float(self._suggest(name, distribution))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Return a whole number in [low, high]."""
        return int(self._suggest(name, IntDistribution(int(low), int(high), log, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Return one of *choices*."""
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return ``suggest_float(name, low, high)``; Optuna's older word."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return ``suggest_float(name, low, high, log=True)``; Optuna's older word."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return ``suggest_float(name, low, high, step=q)``; Optuna's older word."""
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        raise TypeError(type(self))


@dataclass(init=False)
class FrozenTrial(BaseTrial):
    """What is known of a trial.

    Attributes:
        values: of the objectives; None when it has none. A pruned trial's is its last report.
        system_attrs: Optuna's own notes, the constraints among them.
        intermediate_values: by step, as they were reported.
    """

    number: int
    state: TrialState
    values: list[float] | None
    datetime_start: datetime.datetime | None
    datetime_complete: datetime.datetime | None
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    user_attrs: dict[str, Any]
    system_attrs: dict[str, Any]
    intermediate_values: dict[int, float]

    def __init__(  # in Optuna's order, which has the value third
        self,
        number: int,
        state: TrialState,
        value: float | None = None,
        datetime_start: datetime.datetime | None = None,
        datetime_complete: datetime.datetime | None = None,
        params: dict[str, Any] | None = None,
        distributions: dict[str, BaseDistribution] | None = None,
        user_attrs: dict[str, Any] | None = None,
        system_attrs: dict[str, Any] | None = None,
        intermediate_values: dict[int, float] | None = None,
        trial_id: int | None = None,
        *,
        values: Sequence[float] | None = None,
    ) -> None:
        if value is not None and values is not None:
            raise StudyError("FrozenTrial: give value= or values=, not both.")
        given = [value] if value is not None else values
        self.number = number
        self.state = state
        self.values = None if given is None else list(given)
        self.datetime_start = datetime_start
        self.datetime_complete = datetime_complete
        self.params = {} if params is None else params
        self.distributions = {} if distributions is None else distributions
        self.user_attrs = {} if user_attrs is None else user_attrs
        self.system_attrs = {} if system_attrs is None else system_attrs
        self.intermediate_values = {} if intermediate_values is None else intermediate_values
        self._trial_id = number if trial_id is None else trial_id

    def __lt__(self, other: object) -> bool:
        """Return whether its number is the smaller one."""
        return self.number < other.number if isinstance(other, FrozenTrial) else NotImplemented

    def __le__(self, other: object) -> bool:
        """Return whether its number is no larger."""
        return self.number <= other.number if isinstance(other, FrozenTrial) else NotImplemented

    def __hash__(self) -> int:
        """Return a number that equal trials share."""
        return hash((self.number, self.state))

    def copied(self) -> FrozenTrial:
        """Return one that can be changed by itself."""
        own = {name: copy.copy(value) for name, value in vars(self).items()}
        for name in ("params", "user_attrs", "system_attrs"):
            own[name] = copied(own[name])
        other = object.__new__(type(self))
        vars(other).update(own)
        return other

    @property
    def value(self) -> float | None:
        """Return the value of the one objective.

        Raises:
            StudyError: there are several.
        """
        if self.values is None:
            return None
        if len(self.values) > 1:
            raise StudyError("This trial has several objectives: read trial.values.")
        return self.values[0]

    @value.setter
    def value(self, value: float | None) -> None:
        self.values = None if value is None else [value]

    @property
    def constraints(self) -> dict[str, float]:
        """Return the constraints by their names: a system attribute each, or a list of an older Optuna's."""
        listed = enumerate(self.system_attrs.get("constraints") or ())
        own = {str(place): value for place, value in listed}
        named = {k: v for k, v in self.system_attrs.items() if k.startswith(CONSTRAINT)}
        return own | {k.removeprefix(CONSTRAINT): value for k, value in named.items()}

    @property
    def duration(self) -> datetime.timedelta | None:
        """Return how long it took; None while it runs."""
        if self.datetime_start is None or self.datetime_complete is None:
            return None
        return self.datetime_complete - self.datetime_start

    @property
    def last_step(self) -> int | None:
        """Return the largest step that was reported."""
        return max(self.intermediate_values, default=None)

    @property
    def feasible(self) -> bool:
        """Return whether no constraint is above 0."""
        return all(value <= 0 for value in self.constraints.values())

    def report(self, value: float, step: int) -> None:
        """Do nothing: it has ended."""

    def should_prune(self) -> bool:
        """Return False: it has ended."""
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set an attribute of this object alone."""
        self.user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Set a constraint of this object alone."""
        self.system_attrs[f"{CONSTRAINT}{key}"] = float(value)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self.params:
            raise StudyError(
                f"Trial {self.number} has no parameter {name!r}.{nearest(name, self.params)}"
            )
        return taken(f"Trial {self.number}'s parameter", name, self.params[name], distribution)


class FixedTrial(FrozenTrial):
    """Answers suggestions with given values: to try an objective by hand.

    Its ``params`` and ``distributions`` are what was asked for so far.
    """

    def __init__(self, params: Mapping[str, Any], number: int = 0) -> None:
        super().__init__(number, TrialState.RUNNING, datetime_start=datetime.datetime.now())
        self._given = dict(params)

    def report(self, value: float, step: int) -> None:
        """Remember a report."""
        self.intermediate_values[step] = float(value)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._given:
            raise StudyError(
                f"FixedTrial was given no {name!r}: add it to its params."
                f"{nearest(name, self._given)}"
            )
        value = taken("FixedTrial's", name, self._given[name], distribution)
        self.params[name], self.distributions[name] = value, distribution
        return value


def fitted(distribution: BaseDistribution, value: Any) -> tuple[Any, bool]:
    """Return *value* as the distribution has it, and whether it is one of its values.

    A choice is the object itself, whatever the log calls it; a number is of the distribution's kind.
    """
    if isinstance(distribution, CategoricalDistribution):
        place = place_of(value, distribution.choices)
        return (value, False) if place is None else (distribution.choices[place], True)
    if not distribution.holds(value):
        return value, False
    return (float(value) if isinstance(distribution, FloatDistribution) else int(value)), True


def taken(whose: str, name: str, given: Any, distribution: BaseDistribution) -> Any:
    """Return the value that a trial was given; warn of a number out of range.

    Raises:
        StudyError: none of the choices, or no number.
    """
    value, fitting = fitted(distribution, given)
    if not fitting:
        said = _outside(whose, name, value, distribution)
        if isinstance(distribution, CategoricalDistribution) or isinstance(value, str):
            raise StudyError(said)
        warnings.warn(f"{said} It is taken as it is.", LuthierWarning, stacklevel=5)
    return value


def _outside(whose: str, name: str, value: Any, distribution: BaseDistribution) -> str:
    """Return the words for a value that its distribution does not hold."""
    if isinstance(distribution, CategoricalDistribution):
        texts = [repr(choice) for choice in distribution.choices]
        hint = nearest(repr(value), texts)
        return f"{whose} {name}={value!r}: expected one of {', '.join(texts)}.{hint}"
    return f"{whose} {name}={value!r}: expected a value of {distribution!r}."


def create_trial(
    *,
    state: TrialState = TrialState.COMPLETE,
    value: float | None = None,
    values: Sequence[float] | None = None,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
    user_attrs: Mapping[str, Any] | None = None,
    system_attrs: Mapping[str, Any] | None = None,
    intermediate_values: Mapping[int, float] | None = None,
    constraints: Mapping[str, float] | None = None,
) -> FrozenTrial:
    """Return a trial to give to ``study.add_trial``.

    Raises:
        StudyError: both *value* and *values*; what no trial can be: see ``check_trial``.
    """
    if value is not None and values is not None:
        raise StudyError("create_trial: give value= or values=, not both.")
    now = datetime.datetime.now()
    trial = FrozenTrial(
        -1,
        state,
        value,
        None if state is TrialState.WAITING else now,
        now if state.is_finished() else None,
        dict(params or {}),
        dict(distributions or {}),
        dict(user_attrs or {}),
        dict(system_attrs or {}),
        dict(intermediate_values or {}),
        values=values,
    )
    for name, constraint in (constraints or {}).items():
        trial.set_constraint(name, constraint)
    check_trial(trial, "create_trial")
    return trial


def check_trial(trial: FrozenTrial, call: str) -> None:
    """Refuse what no trial can be; *call* is whose argument it is.

    Raises:
        StudyError: parameters without their distributions, or outside them; a completed trial without
            values, or with NaN; a failed one with values.
        NotANumber: a value that is no number; a TypeError, too.
    """
    if trial.params.keys() != trial.distributions.keys():
        odd = sorted(trial.params.keys() ^ trial.distributions.keys())
        raise StudyError(
            f"{call}: params and distributions must have the same names; only one has {odd}."
        )
    for name, distribution in trial.distributions.items():
        if not isinstance(distribution, BaseDistribution):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(
                f"{call}: distributions[{name!r}] is {distribution!r}: expected one of "
                "luthier.compat.optuna.distributions."
            )
        value, fitting = fitted(distribution, trial.params[name])
        if not fitting:
            raise StudyError(_outside(f"{call}:", name, value, distribution))
    _check_values(trial, call)


def _check_values(trial: FrozenTrial, call: str) -> None:
    values = cast("list[Any] | None", trial.values)
    for value in values or ():
        if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
            raise NotANumber(f"{call}: expected numbers as values, got {value!r}.")
    if trial.state is TrialState.COMPLETE:
        if not values:
            raise StudyError(
                f"{call}: a completed trial needs its value; give value=, or state=TrialState.FAIL."
            )
        if any(map(math.isnan, values)):
            raise StudyError(
                f"{call}: a completed trial cannot have the values {values!r}; NaN is for those with "
                "state=TrialState.FAIL, which have none."
            )
    elif trial.state is TrialState.FAIL and values:
        raise StudyError(
            f"{call}: a failed trial has no values, got {values!r}; give state=TrialState.COMPLETE, or "
            "leave them out."
        )


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of attributes or parameters: of plain data, for an object of one's own stays itself."""
    return {
        name: copy.deepcopy(value) if isinstance(value, dict | list) else value
        for name, value in values.items()
    }


__all__ = [
    "CONSTRAINT",
    "BaseTrial",
    "FixedTrial",
    "FrozenTrial",
    "TrialState",
    "check_trial",
    "copied",
    "create_trial",
    "fitted",
    "taken",
]
