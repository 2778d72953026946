"""What a study wants: one objective or several, within bounds on other metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from luthier.errors import StudyError, nearest
from luthier.study.objective import Objective, checked_metrics
from luthier.study.records import TrialRecord

_CONDITION = re.compile(r"\s*(\S.*?)\s*(<=|>=|<|>|≤|≥)\s*(\S+)\s*")
_SIGNS = {"<": "<=", "≤": "<=", ">": ">=", "≥": ">="}
_BROKEN = 1e300  # beyond any loss


@dataclass(frozen=True)
class OutcomeConstraint:
    """A bound that a metric has to keep for a trial to count: ``latency <= 20``."""

    metric: str
    sign: str  # "<=" or ">="
    bound: float

    def excess(self, value: float) -> float:
        """Return by how much *value* breaks the bound, 0 or less when it keeps it.

        What is not finite breaks it infinitely.
        """
        if not math.isfinite(value):
            return math.inf
        return value - self.bound if self.sign == "<=" else self.bound - value

    def violation(self, value: float) -> float:
        """Return by how much *value* breaks the bound, in units of the bound; 0 when it keeps it."""
        return max(0.0, self.excess(value)) / (abs(self.bound) or 1.0)

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Goals:
    """All that a study is judged by; the first objective is the one that schedulers go by.

    A trial's outcome is what it reported at its best epoch by the first objective; a metric that was
    not a number there counts with its last finite value.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...] = ()

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics that every report must have."""
        names = [goal.metric for goal in (*self.objectives, *self.constraints)]
        return tuple(dict.fromkeys(names))

    def losses(self, trial: TrialRecord) -> tuple[float, ...]:
        """Return the trial's outcome in each objective, as something to minimise."""
        others = (goal.loss(outcome(trial, goal.metric)) for goal in self.objectives[1:])
        return (trial.best_loss, *others)

    def excesses(self, trial: TrialRecord) -> tuple[float, ...]:
        """Return by how much the trial breaks each constraint, 0 or less for those it keeps."""
        return tuple(rule.excess(outcome(trial, rule.metric)) for rule in self.constraints)

    def violation(self, trial: TrialRecord) -> float:
        """Return by how much the trial breaks its constraints in all, in units of their bounds."""
        return sum(rule.violation(outcome(trial, rule.metric)) for rule in self.constraints)

    def standing(self, trial: TrialRecord, at: int) -> float:
        """Return what trials are compared by before their end: the loss of the report at index *at*.

        One that breaks a constraint stands behind all that keep them, the farther the more it breaks
        them. A metric that was no number there breaks nothing: it may be measured at the end alone.
        """
        loss = trial.losses[at]
        if not self.constraints or not math.isfinite(loss):
            return loss
        told = ((rule, value_at(trial, at, rule.metric)) for rule in self.constraints)
        violation = sum(rule.violation(value) for rule, value in told if math.isfinite(value))
        return _BROKEN * (2.0 - 1.0 / (1.0 + violation)) if violation else loss

    def breaks(self, trial: TrialRecord, at: int) -> bool:
        """Return whether the report at index *at* breaks a constraint."""
        return bool(self.constraints) and _BROKEN <= self.standing(trial, at) < math.inf

    def __str__(self) -> str:
        words = ", ".join(map(str, self.objectives))
        rules = " and ".join(map(str, self.constraints))
        return f"{words} subject to {rules}" if rules else words


def value_at(trial: TrialRecord, at: int, metric: str) -> float:
    """Return *metric* in the report at index *at*; NaN where it was not told."""
    names = trial.names[at]
    if metric not in names:
        return math.nan
    return trial.values[sum(map(len, trial.names[:at])) + names.index(metric)]


def outcome(trial: TrialRecord, metric: str) -> float:
    """Return *metric* at the trial's best epoch, or its last finite value; NaN without any."""
    if trial.best_step:
        value = value_at(trial, trial.steps.index(trial.best_step), metric)
        if math.isfinite(value):
            return value
    return next(
        (value for value in reversed(trial.curve(metric)) if math.isfinite(value)), math.nan
    )


def front_of(trials: Sequence[TrialRecord], goals: Goals) -> list[TrialRecord]:
    """Return the trials that no other one beats in every objective, the best by the first one first.

    Args:
        trials: with finite outcomes, in the order of their numbers; of equal ones the first stays.
        goals: the objectives.
    """
    scored = sorted((goals.losses(trial), trial.number, trial) for trial in trials)
    front: list[tuple[tuple[float, ...], TrialRecord]] = []
    for losses, _, trial in scored:
        if not any(_beats(other, losses) for other, _ in front):
            front.append((losses, trial))
    return [trial for _, trial in front]


def joined_front(
    front: Sequence[TrialRecord], more: Sequence[TrialRecord], goals: Goals
) -> list[TrialRecord]:
    """Return the front of *front*, which is one, and *more*: as ``front_of``, in time for each of *more*."""
    known = [(goals.losses(trial), trial.number, trial) for trial in front]
    for trial in more:
        mine, number = goals.losses(trial), trial.number
        if any(_beats(other, mine) and (other != mine or n < number) for other, n, _ in known):
            continue
        known = [one for one in known if one[1] != number and not _beats(mine, one[0])]
        known.append((mine, number, trial))
    return [trial for _, _, trial in sorted(known)]


def _beats(losses: tuple[float, ...], others: tuple[float, ...]) -> bool:
    """Return whether *losses* are at most *others* in every objective."""
    return all(a <= b for a, b in zip(losses, others, strict=True))


def goals_from(
    maximize: str | Sequence[str] | None,
    minimize: str | Sequence[str] | None,
    subject_to: str | Sequence[str] | None = None,
) -> Goals:
    """Return the goals that ``maximize=``, ``minimize=`` and ``subject_to=`` name.

    Raises:
        StudyError: no objective; one named twice; a name that is empty or no string; a constraint
            that is no ``"metric <= number"``.
    """
    objectives = [Objective(name, "maximize") for name in _names("maximize", maximize)]
    objectives += [Objective(name, "minimize") for name in _names("minimize", minimize)]
    if not objectives:
        raise StudyError(
            "A study is judged by a metric: expected maximize='val_accuracy' or "
            "minimize='val_loss', got neither."
        )
    names = [goal.metric for goal in objectives]
    if twice := [name for name in names if names.count(name) > 1]:
        raise StudyError(f"Metric {twice[0]!r} was named twice as an objective; name each once.")
    rules = (subject_to,) if isinstance(subject_to, str) else tuple(subject_to or ())
    return Goals(tuple(objectives), tuple(map(constraint_from, rules)))


def constraint_from(text: str) -> OutcomeConstraint:
    """Return the constraint that *text* (``"latency <= 20"``) states.

    Raises:
        StudyError: it states none.
    """
    found = _CONDITION.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    bound = _float(found[3]) if found else None
    if found is None or bound is None:
        raise StudyError(
            f"A constraint on outcomes must read 'metric <= number' or 'metric >= number', such as "
            f"subject_to='latency <= 20', got {text!r}."
        )
    if set(found[1]) & set("<>≤≥") or found[1].endswith("="):
        raise StudyError(
            f"A constraint on outcomes must read 'metric <= number' or 'metric >= number', got "
            f"{text!r}: {found[1]!r} is no metric's name."
        )
    return OutcomeConstraint(found[1], _SIGNS.get(found[2], found[2]), bound)


def checked_report(metrics: Mapping[str, Any], goals: Goals) -> dict[str, float]:
    """Return a report's metrics as plain floats; see ``checked_metrics``.

    Raises:
        StudyError: a value that is no number, or a metric is missing that the study is judged by.
    """
    numbers = checked_metrics(metrics, goals.objectives[0])
    for name in goals.metrics:
        if name not in numbers:
            raise StudyError(
                f"The study is to {goals}, but the report has no metric {name!r}: it has "
                f"{', '.join(map(repr, numbers))}.{nearest(name, numbers)} "
                "Report it each time, NaN where it was not measured."
            )
    return numbers


def diverged_metric(metrics: Mapping[str, float], goals: Goals) -> str | None:
    """Return the name of the metric that shows divergence, or None.

    The first objective or any loss: a classifier whose loss is NaN still has an accuracy of one in ten.
    What else the study is judged by is reported as NaN where it was not measured, whatever its name.
    """
    for name, value in metrics.items():
        if math.isfinite(value):
            continue
        unmeasured = math.isnan(value) and name in goals.metrics
        if name == goals.objectives[0].metric or (name.endswith("loss") and not unmeasured):
            return name
    return None


def _names(keyword: str, given: Any) -> list[str]:
    if given is None:
        return []
    names: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
    for name in names or [()]:
        if not isinstance(name, str) or not name:
            raise StudyError(
                f"The metric's name must be a non-empty string, got {keyword}={name!r}."
            )
    return names


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
