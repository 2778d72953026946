"""Optuna's trial as an objective is given it, and the names of ``optuna.trial``."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from luthier.compat.asking import ask_for
from luthier.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    to_domain,
)
from luthier.compat.optuna.exceptions import (
    NotANumber,
    SeveralObjectives,
    UpdateFinishedTrialError,
)
from luthier.compat.optuna.frozen_trial import (
    BaseTrial,
    FixedTrial,
    FrozenTrial,
    TrialState,
    copied,
    create_trial,
    fitted,
    taken,
)
from luthier.compat.optuna.labels import label_of, place_of, written
from luthier.compat.optuna.missing import absent
from luthier.errors import LuthierWarning, StudyError
from luthier.space import Domain, HyperParameters
from luthier.study.trial import Trial as OwnTrial

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study

Asked = tuple[dict[str, Any], dict[str, BaseDistribution]]  # parameters, and what each may be
_NOTHING: Any = object()


class ExactNames(HyperParameters):
    """Answers by names as they are: to Luthier 'lr' may mean 'enc.lr', within a scope; Optuna has none."""

    def _may_be(self, key: str, label: str) -> bool:
        return False


class Wanting(OwnTrial):
    """Luthier's trial, which takes what was asked for where the log has it in other words.

    Attributes:
        wanted: the value of what is being asked for; a configuration may have been enqueued before anybody
            knew the choices, with 1 for True, or with a list.
    """

    wanted: Any = _NOTHING

    @property
    def hp(self) -> HyperParameters:
        """Return the define-by-run view, to which a name is that name and no other."""
        if self._parameters is None:
            own, history = super().hp, self._study.history
            exact = ExactNames(history.space, self._configuration, self._draw, history.formerly)
            exact.horizon, exact.to_step = own.horizon, own.to_step
            self._parameters = exact
        return self._parameters

    def _draw(self, key: str, domain: Domain) -> Any:
        if self.wanted is not _NOTHING and domain.contains(self.wanted):
            return self.wanted
        return super()._draw(key, domain)


class Trial(BaseTrial):
    """What an objective is given: one configuration on its way.

    Attributes:
        number: from 0.
        by_hand: it was asked for by ``study.ask``, and other processes may be told of it at any time.
        intermediate_values: what it has reported, by step.
    """

    def __init__(self, study: Study, own: Wanting, *, by_hand: bool = False) -> None:
        self.study = study
        self.own = own
        self.number = own.number
        self.by_hand = by_hand
        notes = study.own.history.attributes.get(own.number, {})
        self._enqueued: Mapping[str, Any] = notes.get("system:fixed_params", {})
        # Of the record: who reads own.configuration has used all of it, and then all of it is recorded. Of a
        # trial that is run again it has what was asked for before, which may be less than was enqueued.
        record = study.own.history.trials[own.number]
        self._given: dict[str, Any] = {**self._enqueued, **record.configuration}
        self.asked: Asked = {}, {}
        self.intermediate_values: dict[int, float] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process, or a copy, take it up where it is."""
        from luthier.compat.optuna.pickling import trial_again

        with self.study.lock:
            self.own.settle()
        known = (self.params, self.distributions), dict(self.intermediate_values)
        return trial_again, (self.study, self.number, *known)

    @property
    def params(self) -> dict[str, Any]:
        """Return what was suggested so far, by name; a copy."""
        return copied(self.asked[0])

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return what each may be; a copy."""
        return dict(self.asked[1])

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        params, distributions = self.asked
        if name in params:
            self._check_again(name, distributions[name], distribution)
            return params[name]
        if (known := self.study.met.setdefault(name, distribution)) != distribution:
            _check_kind(name, known, distribution)
        with self.study.lock:
            self._check_running(f"suggest {name!r}")
            self.study.meet(name, distribution)
            value = self._answered(name, distribution)
            params[name], distributions[name] = value, distribution
            if self.by_hand:
                self.own.settle()  # whoever tells of it may do so by its number alone
        return value

    def _check_running(self, what: str) -> None:
        """Refuse to change a trial that has ended.

        Raises:
            UpdateFinishedTrialError: it has; a RuntimeError, too.
        """
        with self.study.lock:
            # Another process may have been told of what was asked for by hand.
            history = self.study.own.refresh() if self.by_hand else self.study.own.history
        record = history.trials[self.number]
        if record.state.ended:
            raise UpdateFinishedTrialError(
                f"Trial {self.number} has ended, it is {record.state}, and can no longer {what}: do that "
                "before study.tell(), or ask for another trial."
            )

    def _check_again(
        self, name: str, first: BaseDistribution, distribution: BaseDistribution
    ) -> None:
        """Say so when a trial is asked for a name twice, as something else."""
        if first == distribution:
            return
        _check_kind(name, first, distribution)
        if isinstance(first, CategoricalDistribution):
            return
        self.own.warn_once(
            f"{name} twice",
            f"Trial {self.number} has suggested {name!r} from {first!r} already; that value stays, whatever "
            f"{distribution!r} says. Give one of them another name.",
        )

    def _answered(self, name: str, distribution: BaseDistribution) -> Any:
        fixed: Mapping[str, Any] = self.study.sampler.fixed
        if name in self.study.grid:
            value = self.study.objects.of(name, self.own[name])
            return taken("The grid's", name, value, distribution)
        if name in fixed and name not in self._enqueued:  # what was asked for goes before
            value = taken("PartialFixedSampler's", name, fixed[name], distribution)
            self.own.hp.constant(name, _in_log(distribution, value))
            return value
        domain = to_domain(distribution)
        wanted = self._given.get(name, _NOTHING)
        if wanted is not _NOTHING and not domain.contains(wanted):
            value, fitting = fitted(distribution, wanted)
            wanted = _in_log(distribution, value) if fitting else _NOTHING
            if (
                not fitting and name in self._enqueued
            ):  # what a searcher proposed is for a wider range
                warnings.warn(
                    f"{name}={self._given[name]!r} was asked for, which is not in {domain!r}: another "
                    "value is tried.",
                    LuthierWarning,
                    stacklevel=4,
                )
            if fitting or name in self._enqueued:
                self.own.said.add(f"redrawn {name}")  # or Luthier itself would speak of it
        self.own.wanted = wanted
        try:
            return fitted(distribution, ask_for(self.own.hp, name, domain))[0]
        finally:
            self.own.wanted = _NOTHING

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value; ``should_prune`` goes by it.

        Raises:
            NotANumber: no number; a TypeError, too.
            SeveralObjectives: a study that has them; a NotImplementedError, too.
            StudyError: a step that is no whole number from 0 on.
            UpdateFinishedTrialError: it has ended; a RuntimeError, too.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise NotANumber(f"trial.report({value!r}, {step}): expected a number.") from None
        if isinstance(step, bool) or int(step) != step or step < 0:
            raise StudyError(f"trial.report({value!r}, {step!r}): steps are whole, from 0 on.")
        if len(self.study.directions) > 1:
            raise SeveralObjectives("trial.report is for studies with one objective.")
        self._check_running("report")
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
        """Write something down about this trial.

        Raises:
            UpdateFinishedTrialError: it has ended; a RuntimeError, too.
        """
        with self.study.lock:
            self._check_running("be written about")
            self.study.note(f"user:{key}", value, self.number)

    def set_constraint(self, key: str, value: float) -> None:
        """Write down a constraint, kept when it is 0 or less; ``best_trial`` goes by it.

        Raises:
            UpdateFinishedTrialError: it has ended; a RuntimeError, too.
        """
        with self.study.lock:
            self._check_running("be given a constraint")
            self.study.note(f"constraint:{key}", float(value), self.number)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """Return what was written down; a copy."""
        return copied(self.study.frozen(self.number).user_attrs)

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
        return {name: self.study.objects.of(name, value) for name, value in self._given.items()}


def _check_kind(name: str, known: BaseDistribution, asked: BaseDistribution) -> None:
    """Refuse a name that was asked for as another kind, or with other choices.

    Raises:
        StudyError: it was.
    """
    if isinstance(known, CategoricalDistribution) and isinstance(asked, CategoricalDistribution):
        # Objects that are made anew for each trial are the same choices, by the same names.
        differ = _labels(known) != _labels(asked)
    else:
        differ = type(known) is not type(asked)
    if differ:
        raise StudyError(
            f"{name!r} was suggested from {known!r} before, and is now asked for as {asked!r}: give one of "
            "them another name."
        )


def _labels(distribution: CategoricalDistribution) -> list[str]:
    return [repr(label_of(place, choice)) for place, choice in enumerate(distribution.choices)]


def _in_log(distribution: BaseDistribution, value: Any) -> Any:
    """Return what the log has for a value of *distribution*."""
    if not isinstance(distribution, CategoricalDistribution):
        return written(value)
    place = place_of(value, distribution.choices)
    assert place is not None
    return label_of(place, distribution.choices[place])


__all__ = ["BaseTrial", "FixedTrial", "FrozenTrial", "Trial", "TrialState", "create_trial"]
__getattr__ = absent("trial", lambda: __all__)
