"""What one parameter may be, in Optuna's words and in Luthier's."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from luthier.compat.optuna.labels import label_of, place_of
from luthier.compat.optuna.missing import absent
from luthier.errors import LuthierWarning, SpaceError
from luthier.space import Bool, Choice, Constant, Domain, Float, Int

Newer = TypeVar("Newer", bound="BaseDistribution")
_NEAR = 1e-8  # of a step, by which a value may miss it


class BaseDistribution:
    """Any of the three."""

    def single(self) -> bool:
        """Return whether there is only one value."""
        raise TypeError(type(self))

    def holds(self, value: Any) -> bool:
        """Return whether *value* is one of its values."""
        raise TypeError(type(self))


@dataclass(frozen=True)
class FloatDistribution(BaseDistribution):
    """A real number in [low, high], on a log scale or in steps."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        """Check it, and have the range end at a step.

        Raises:
            SpaceError: an empty range, a log scale from 0 on or in steps.
        """
        _check("suggest_float", self.low, self.high, self.log, self.step)
        if self.step is not None:
            high = _reached(self.low, self.high, self.step)
            _warn_cut("suggest_float", self.low, self.high, self.step, high)
            object.__setattr__(self, "high", high)

    def single(self) -> bool:
        """Return whether low is high."""
        return self.low == self.high

    def holds(self, value: Any) -> bool:
        """Return whether *value* is a number in the range, at a step where there are some."""
        return _is_number(value) and _in_steps(float(value), self.low, self.high, self.step)


@dataclass(frozen=True)
class IntDistribution(BaseDistribution):
    """A whole number in [low, high], on a log scale or in steps."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        """Check it, and have the range end at a step.

        Raises:
            SpaceError: an empty range, a log scale from 0 on or in steps.
        """
        step = None if self.log and self.step == 1 else self.step
        _check("suggest_int", self.low, self.high, self.log, step)
        high = self.low + (self.high - self.low) // self.step * self.step
        _warn_cut("suggest_int", self.low, self.high, self.step, high)
        object.__setattr__(self, "high", high)

    def single(self) -> bool:
        """Return whether low is high."""
        return self.low == self.high

    def holds(self, value: Any) -> bool:
        """Return whether *value* is a whole number in the range, at a step."""
        if not _is_number(value) or float(value) != math.floor(value):
            return False
        return _in_steps(int(value), self.low, self.high, None if self.log else self.step)


@dataclass(frozen=True, init=False)
class CategoricalDistribution(BaseDistribution):
    """One of a few choices."""

    choices: tuple[Any, ...]

    def __init__(self, choices: Sequence[Any]) -> None:
        if not len(choices):
            raise SpaceError("suggest_categorical: choices is empty; give at least one.")
        object.__setattr__(self, "choices", tuple(choices))

    def single(self) -> bool:
        """Return whether there is one choice."""
        return len(self.choices) == 1

    def holds(self, value: Any) -> bool:
        """Return whether *value* is one of the choices."""
        return place_of(value, self.choices) is not None


def UniformDistribution(low: float, high: float) -> FloatDistribution:  # noqa: N802
    """Return ``FloatDistribution(low, high)``; Optuna's older word."""
    return _newer(FloatDistribution(low, high))


def LogUniformDistribution(low: float, high: float) -> FloatDistribution:  # noqa: N802
    """Return ``FloatDistribution(low, high, log=True)``; Optuna's older word."""
    return _newer(FloatDistribution(low, high, log=True))


def DiscreteUniformDistribution(low: float, high: float, q: float) -> FloatDistribution:  # noqa: N802
    """Return ``FloatDistribution(low, high, step=q)``; Optuna's older word."""
    return _newer(FloatDistribution(low, high, step=q))


def IntUniformDistribution(low: int, high: int, step: int = 1) -> IntDistribution:  # noqa: N802
    """Return ``IntDistribution(low, high, step=step)``; Optuna's older word."""
    return _newer(IntDistribution(low, high, step=step))


def IntLogUniformDistribution(low: int, high: int, step: int = 1) -> IntDistribution:  # noqa: N802
    """Return ``IntDistribution(low, high, log=True)``; Optuna's older word."""
    return _newer(IntDistribution(low, high, log=True, step=step))


def _newer(distribution: Newer) -> Newer:
    """Warn that *distribution* was asked for by its older word."""
    warnings.warn(f"Write {distribution!r}.", FutureWarning, stacklevel=3)
    return distribution


def to_domain(distribution: BaseDistribution) -> Domain:
    """Return Luthier's domain; choices that no log can hold are called by their place and text."""
    match distribution:
        case FloatDistribution(low, high, log, step):
            if low == high:
                return Constant(low)
            return Float(low, high, scale="log" if log else "linear", step=step)
        case IntDistribution(low, high, log, step):
            if low == high:
                return Constant(low)
            scale = "log" if log else "linear"
            return Int(low, high, scale=scale, step=step if step != 1 else None)
        case CategoricalDistribution(choices):
            return Choice(*map(label_of, range(len(choices)), choices))
        case _:
            raise SpaceError(f"{distribution!r} is no distribution of this door.")


def to_distribution(domain: Domain) -> BaseDistribution:
    """Return Optuna's distribution for one of Luthier's domains."""
    match domain:
        case Int():
            return IntDistribution(domain.low, domain.high, domain.scale == "log", domain.step or 1)
        case Float():
            return FloatDistribution(domain.low, domain.high, domain.scale == "log", domain.step)
        case Choice():
            return CategoricalDistribution(domain.options)
        case Bool():
            return CategoricalDistribution((False, True))
        case Constant():
            if type(domain.value) is float:
                return FloatDistribution(domain.value, domain.value)
            if type(domain.value) is int:
                return IntDistribution(domain.value, domain.value)
            return CategoricalDistribution((domain.value,))
        case _:
            raise SpaceError(f"{domain!r} has no counterpart in Optuna.")


def check_distribution_compatibility(
    dist_old: BaseDistribution, dist_new: BaseDistribution
) -> None:
    """Refuse a distribution that a parameter of another one cannot have later on.

    Raises:
        SpaceError: another kind, a log scale where there was none, or other choices.
    """
    if type(dist_old) is not type(dist_new):
        raise SpaceError(
            f"{dist_new!r} is of another kind than {dist_old!r}: give the parameter another name."
        )
    if isinstance(dist_old, CategoricalDistribution):
        if dist_old != dist_new:
            raise SpaceError(
                f"{dist_new!r} has other choices than {dist_old!r}: give the parameter another name."
            )
    elif cast(Any, dist_old).log != cast(Any, dist_new).log:
        raise SpaceError(
            f"{dist_new!r} is on another scale than {dist_old!r}: give the parameter another name."
        )


def distribution_to_json(distribution: BaseDistribution) -> str:
    """Return it as Optuna's storages hold it."""
    attributes = asdict(cast(Any, distribution))
    return json.dumps({"name": type(distribution).__name__, "attributes": attributes})


def json_to_distribution(text: str) -> BaseDistribution:
    """Return what Optuna's storages hold, those of versions before 3 included.

    Raises:
        SpaceError: a kind that this version does not know.
    """
    data: dict[str, Any] = json.loads(text)
    name, given = data["name"], dict(data["attributes"])
    old = {"UniformDistribution", "LogUniformDistribution", "DiscreteUniformDistribution"}
    if name in old or name == "FloatDistribution":
        step = given.get("q", given.get("step"))
        log = name == "LogUniformDistribution" or bool(given.get("log"))
        return FloatDistribution(given["low"], given["high"], log, step)
    if name in ("IntDistribution", "IntUniformDistribution", "IntLogUniformDistribution"):
        log = name == "IntLogUniformDistribution" or bool(given.get("log"))
        return IntDistribution(given["low"], given["high"], log, 1 if log else given.get("step", 1))
    if name == "CategoricalDistribution":
        return CategoricalDistribution(given["choices"])
    raise SpaceError(f"Unknown distribution {name!r}: written by a newer Optuna?")


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bytes):
        return False
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return False


def _in_steps(value: float, low: float, high: float, step: float | None) -> bool:
    if not low <= value <= high:
        return False
    return step is None or abs((value - low) / step - round((value - low) / step)) < _NEAR


def _check(call: str, low: float, high: float, log: bool, step: float | None) -> None:
    where = f"{call}(..., {low!r}, {high!r})"
    if not low <= high:
        raise SpaceError(f"{where}: low must not be above high; did you mean ({high!r}, {low!r})?")
    if log and step is not None:
        raise SpaceError(
            f"{where}: step={step!r} does not go with log=True; leave one of them out."
        )
    if log and low <= 0:
        raise SpaceError(f"{where}: a log scale needs low above 0, got {low!r}.")
    if step is not None and step <= 0:
        raise SpaceError(f"{where}: step must be above 0, got {step!r}.")


def _warn_cut(call: str, low: float, high: float, step: float, reached: float) -> None:
    """Warn of a range that does not end at a step."""
    if not math.isclose(reached, high, rel_tol=1e-9, abs_tol=1e-9 * step):
        warnings.warn(
            f"{call}(..., {low!r}, {high!r}, step={step!r}): the steps end at {reached!r}, and so does the "
            "range.",
            LuthierWarning,
            stacklevel=5,
        )


def _reached(low: float, high: float, step: float) -> float:
    """Return the last step within the range, without the noise of binary fractions."""
    from luthier.space.plain import decimals

    steps = math.floor((high - low) / step + 1e-9)
    return round(low + steps * step, max(decimals(low), decimals(step)))


__all__ = [
    "BaseDistribution",
    "CategoricalDistribution",
    "DiscreteUniformDistribution",
    "FloatDistribution",
    "IntDistribution",
    "IntLogUniformDistribution",
    "IntUniformDistribution",
    "LogUniformDistribution",
    "UniformDistribution",
    "check_distribution_compatibility",
    "distribution_to_json",
    "json_to_distribution",
]
__getattr__ = absent("distributions", lambda: __all__)
