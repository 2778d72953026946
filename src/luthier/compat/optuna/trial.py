"""Optuna's trials: the one an objective is given, and what is known of one afterwards."""

from __future__ import annotations

import contextlib
import copy
import datetime
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

from luthier.compat.asking import ask_for
from luthier.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    label_of,
    to_domain,
)
from luthier.compat.optuna.exceptions import NotANumber, SeveralObjectives
from luthier.errors import LuthierWarning, StudyError, nearest

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study
    from luthier.study.trial import Trial as OwnTrial

Value = TypeVar("Value")


class TrialState(IntEnum):
    """How a trial stands."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

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
        label = self._suggest(name, CategoricalDistribution(choices))
        return next(c for i, c in enumerate(choices) if _same(label_of(i, c), label))

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


@dataclass
class FrozenTrial(BaseTrial):
    """What is known of a trial.

    Attributes:
        values: of the objectives; None when it has none. A pruned trial's is its last report.
        intermediate_values: by step, as they were reported.
    """

    number: int
    state: TrialState
    values: list[float] | None = None
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    distributions: dict[str, BaseDistribution] = field(default_factory=dict[str, BaseDistribution])
    user_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    system_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    intermediate_values: dict[int, float] = field(default_factory=dict[int, float])
    constraints: dict[str, float] = field(default_factory=dict[str, float])
    datetime_start: datetime.datetime | None = None
    datetime_complete: datetime.datetime | None = None

    def copied(self) -> FrozenTrial:
        """Return one that can be changed by itself."""
        own = {name: copy.copy(value) for name, value in vars(self).items()}
        own["user_attrs"] = {k: _deep(v) for k, v in self.user_attrs.items()}
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
        self.constraints[key] = float(value)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self.params:
            raise StudyError(
                f"Trial {self.number} has no parameter {name!r}.{nearest(name, self.params)}"
            )
        return self.params[name]


class FixedTrial(FrozenTrial):
    """Answers suggestions with given values: to try an objective by hand."""

    def __init__(self, params: dict[str, Any], number: int = 0) -> None:
        super().__init__(number, TrialState.RUNNING, params=dict(params))

    def report(self, value: float, step: int) -> None:
        """Remember a report."""
        self.intermediate_values[step] = float(value)


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
        StudyError: both *value* and *values*; parameters without their distributions.
    """
    if value is not None and values is not None:
        raise StudyError("create_trial: give value= or values=, not both.")
    known, ranges = dict(params or {}), dict(distributions or {})
    if known.keys() != ranges.keys():
        odd = sorted(known.keys() ^ ranges.keys())
        raise StudyError(
            f"create_trial: params and distributions must have the same names; only one has {odd}."
        )
    now = datetime.datetime.now()
    return FrozenTrial(
        -1,
        state,
        [value] if value is not None else (None if values is None else list(values)),
        known,
        ranges,
        dict(user_attrs or {}),
        dict(system_attrs or {}),
        dict(intermediate_values or {}),
        dict(constraints or {}),
        now,
        now if state.is_finished() else None,
    )


class Trial(BaseTrial):
    """What an objective is given: one configuration on its way.

    Attributes:
        number: from 0.
        params: what was suggested so far, by name.
        distributions: what each may be.
    """

    def __init__(self, study: Study, own: OwnTrial) -> None:
        self.study = study
        self.own = own
        self.number = own.number
        # Of the record: who reads own.configuration has used all of it, and then all of it is recorded.
        self._given: dict[str, Any] = dict(study.own.history.trials[own.number].configuration)
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self.intermediate_values: dict[int, float] = {}
        self.why_pruned = ""

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process, or a copy, take it up where it is."""
        from luthier.compat.optuna.pickling import trial_again

        with self.study.lock:
            self.own.settle()
        known = dict(self.params), dict(self.distributions), dict(self.intermediate_values)
        return trial_again, (self.study, self.number, *known)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self.params:
            self._check_again(name, self.distributions[name], distribution)
            return self.params[name]
        if (known := self.study.met.setdefault(name, distribution)) != distribution:
            _check_kind(name, known, distribution)
        with self.study.lock:
            value = self._answered(name, distribution)
        self.params[name], self.distributions[name] = value, distribution
        return value

    def _check_again(
        self, name: str, first: BaseDistribution, distribution: BaseDistribution
    ) -> None:
        """Say so when a trial is asked for a name twice, as something else."""
        if first == distribution:
            return
        _check_kind(name, first, distribution)
        self.own.warn_once(
            f"{name} twice",
            f"Trial {self.number} has suggested {name!r} from {first!r} already; that value stays, whatever "
            f"{distribution!r} says. Give one of them another name.",
        )

    def _answered(self, name: str, distribution: BaseDistribution) -> Any:
        fixed: Mapping[str, Any] = self.study.sampler.fixed
        if name in self.study.grid:
            return self.own[name]
        if name in fixed:
            return self.own.hp.constant(name, fixed[name])
        domain = to_domain(distribution)
        given = self._given.get(name)
        if given is not None and not domain.contains(given):
            self.study.warn_outside(name, given, domain)
        return ask_for(self.own.hp, name, domain)

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value; ``should_prune`` goes by it.

        Raises:
            NotANumber: no number; a TypeError, too.
            SeveralObjectives: a study that has them; a NotImplementedError, too.
            StudyError: a step that is no whole number from 0 on.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise NotANumber(f"trial.report({value!r}, {step}): expected a number.") from None
        if isinstance(step, bool) or int(step) != step or step < 0:
            raise StudyError(f"trial.report({value!r}, {step!r}): steps are whole, from 0 on.")
        if len(self.study.directions) > 1:
            raise SeveralObjectives("trial.report is for studies with one objective.")
        if int(step) in self.intermediate_values:  # as Optuna: the first one counts
            warnings.warn(
                f"Trial {self.number} has reported {self.intermediate_values[int(step)]!r} at step {step} "
                f"already; {value!r} is ignored.",
                LuthierWarning,
                stacklevel=2,
            )
        else:
            self.intermediate_values[int(step)] = number
            with self.study.lock:
                self.own.settle()
                self.study.own.set_attribute(f"step {int(step)}", number, self.number)

    def should_prune(self) -> bool:
        """Return whether the study's pruner would end this trial after its last report.

        Raises:
            SeveralObjectives: a study that has them; a NotImplementedError, too.
        """
        if len(self.study.directions) > 1:
            raise SeveralObjectives("trial.should_prune is for studies with one objective.")
        if not self.intermediate_values:
            return False
        with self.study.lock:
            return self.study.pruner.prune(self.study, self.study.frozen(self.number))

    def set_user_attr(self, key: str, value: Any) -> None:
        """Write something down about this trial."""
        with self.study.lock:
            self.study.note(f"user:{key}", value, self.number)

    def set_constraint(self, key: str, value: float) -> None:
        """Write down a constraint, kept when it is 0 or less; ``best_trial`` goes by it."""
        with self.study.lock:
            self.study.note(f"constraint:{key}", float(value), self.number)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """Return what was written down."""
        return self.study.frozen(self.number).user_attrs

    @property
    def constraints(self) -> dict[str, float]:
        """Return the constraints that were set."""
        return self.study.frozen(self.number).constraints

    @property
    def datetime_start(self) -> datetime.datetime | None:
        """Return when it began."""
        return self.study.frozen(self.number).datetime_start

    @property
    def relative_params(self) -> dict[str, Any]:
        """Return what was proposed before anything was suggested."""
        return dict(self._given)


def _check_kind(name: str, known: BaseDistribution, asked: BaseDistribution) -> None:
    """Refuse a name that was asked for as another kind, or with other choices.

    Raises:
        StudyError: it was.
    """
    if type(known) is not type(asked) or isinstance(known, CategoricalDistribution):
        raise StudyError(
            f"{name!r} was suggested from {known!r} before, and is now asked for as {asked!r}: give one of "
            "them another name."
        )


def _deep(value: Any) -> Any:
    """Return a copy of an attribute: of plain data, for an object of one's own stays what it is."""
    return copy.deepcopy(value) if isinstance(value, dict | list) else value


def _same(a: Any, b: Any) -> bool:
    if type(a) is type(b):
        return a == b
    with contextlib.suppress(TypeError):
        return not isinstance(a, bool) and not isinstance(b, bool) and math.isclose(a, b)
    return False


__all__ = ["BaseTrial", "FixedTrial", "FrozenTrial", "Trial", "TrialState", "create_trial"]
