"""Domains: what values one hyperparameter may take, and on which scale.

Every domain encodes a value as a number in [0, 1] and decodes it back: exactly for what is discrete,
to rounding for what is continuous. A discrete value sits at the centre of its own bin.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from luthier.errors import SpaceError, nearest
from luthier.space.scales import Scale, check_scale, from_unit, to_unit

if TYPE_CHECKING:
    from luthier.space.space import Space

Confidence = Literal["low", "medium", "high"]
Condition = tuple[tuple[str, tuple[Any, ...]], ...]
_SPREAD = {"low": 0.5, "medium": 0.25, "high": 0.125}  # of the unit range, as in PriorBand
_SHARE = {"low": 0.25, "medium": 0.5, "high": 0.75}  # towards certainty, for choices
_LARGEST = 2**53


@dataclass(frozen=True, repr=False)
class Domain:
    """What every domain has: a condition under which its hyperparameter is active.

    Attributes:
        condition: parents and the values of theirs that make it active, all of which must hold.
    """

    condition: Condition = field(default=(), kw_only=True)

    def when(self, **parents: Any) -> Self:
        """Return the same domain, active only when each parent has the value, or one of the values.

        ``Float(0.9, 0.999, scale="one_minus_log").when(optimizer="sgd")``
        """
        added = tuple(
            (parent, tuple(v) if isinstance(v, list | tuple | set | frozenset) else (v,))
            for parent, v in parents.items()
        )
        return self.under(self.condition + added)

    def under(self, condition: Condition) -> Self:
        """Return the same domain under another condition."""
        if not condition and not self.condition:
            return self
        other = copy.copy(self)
        _set(other, condition=condition)
        return other

    @property
    def free(self) -> Self:
        """Return the domain without its condition."""
        return self.under(())

    def __repr__(self) -> str:
        own = [f for f in fields(self) if f.name not in ("condition", "subspaces")]
        words = [repr(getattr(self, f.name)) for f in own if not f.kw_only]
        words = [repr(o) for o in self.options] if isinstance(self, Choice) else words
        words += [
            f"{f.name}={value!r}"
            for f in own
            if f.kw_only
            and (value := getattr(self, f.name)) not in (None, f.default)
            and f.name != "default"
        ]
        when = "".join(f".when({p}={one_or_all(v)!r})" for p, v in self.condition)
        return f"{type(self).__name__}({', '.join(words)}){when}"

    @property
    def cardinality(self) -> int | None:
        """Return how many values there are; None for a continuous range."""
        raise TypeError(type(self))

    def encode(self, value: Any) -> float:
        """Return the value's place in [0, 1]."""
        raise TypeError(type(self))

    def decode(self, unit: float) -> Any:
        """Return the value at a place in [0, 1]."""
        raise TypeError(type(self))

    def quantile(self, unit: float) -> Any:
        """Return the value below which a share *unit* of the prior lies; without prior, decode."""
        return self.decode(unit)

    def check(self, name: str, value: Any) -> Any:
        """Return *value* as this domain's own type.

        Raises:
            SpaceError: the domain does not hold it; the message names the nearest value it holds.
        """
        raise TypeError(type(self))

    def contains(self, value: Any) -> bool:
        """Return True when the domain holds *value*."""
        try:
            self.check("value", value)
        except SpaceError:
            return False
        return True

    def values(self, count: int | None = None) -> list[Any]:
        """Return the values of a grid: all of a discrete domain, *count* even ones of a range.

        Raises:
            SpaceError: the domain is continuous and there is no count.
        """
        total = self.cardinality
        if total is not None and (count is None or count >= total):
            return [self.decode((i + 0.5) / total) for i in range(total)]
        if count is None:
            raise SpaceError("is continuous")
        if count < 1:
            raise SpaceError(f"a grid needs at least one value a hyperparameter, got {count}.")
        places = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
        return list(dict.fromkeys(self.decode(place) for place in places))


@dataclass(frozen=True, repr=False)
class Float(Domain):
    """A real number in [low, high].

    Args:
        low: smallest value; above 0 on a log scale.
        high: largest value; below 1 on ``one_minus_log``.
        scale: ``"linear"``, ``"log"`` or ``"one_minus_log"``.
        step: only low, low + step, …, high; linear scale only.
        default: by default the middle of the range on its scale.
        prior: where you believe a good value lies; draws centre on it (see ``confidence``).
        confidence: how strongly: a normal with 0.5, 0.25 or 0.125 of the range as standard deviation.

    Raises:
        SpaceError: naming the value, what was expected, and the fix.
    """

    low: float
    high: float
    scale: Scale = field(default="linear", kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    default: float = field(default=cast(float, None), kw_only=True)
    prior: float | None = field(default=None, kw_only=True)
    confidence: Confidence = field(default="medium", kw_only=True)

    def __post_init__(self) -> None:
        what = f"Float({self.low!r}, {self.high!r})"
        low, high = _finite(what, "low", self.low), _finite(what, "high", self.high)
        _set(self, low=low, high=high)
        _check_range(self, what)
        if self.step is not None:
            _set(self, step=_checked_step(what, self.low, self.high, self.step))
        _check_beliefs(self, what)

    @property
    def cardinality(self) -> int | None:
        """Return the number of steps plus one; None without a step."""
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def encode(self, value: float) -> float:
        """Return the value's place in [0, 1] on its scale."""
        if self.step is not None:
            return (round((value - self.low) / self.step) + 0.5) / cast(int, self.cardinality)
        return to_unit(self.scale, self.low, self.high, value)

    def decode(self, unit: float) -> float:
        """Return the value at a place in [0, 1]."""
        if self.step is not None:
            return self._at(_bin(unit, cast(int, self.cardinality)))
        return from_unit(self.scale, self.low, self.high, unit)

    def quantile(self, unit: float) -> float:
        """Return the value at a quantile of the prior."""
        return self.decode(_believed(unit, self.prior, self.encode, self.confidence))

    def check(self, name: str, value: Any) -> float:
        """Return *value* as a float of this domain."""
        number = _number(name, value)
        if not self.low <= number <= self.high:
            raise _outside(name, value, self, min(max(number, self.low), self.high))
        if self.step is not None:
            closest = self._at(round((number - self.low) / self.step))
            if not math.isclose(number, closest, rel_tol=1e-9, abs_tol=self.step * 1e-9):
                raise _outside(name, value, self, closest)
            return closest
        return number

    def _at(self, index: int) -> float:
        """Return low + index * step without the noise of binary fractions (0.1 + 2 * 0.1 is 0.3)."""
        assert self.step is not None
        digits = max(_decimals(self.low), _decimals(self.step))
        return min(self.high, max(self.low, round(self.low + index * self.step, digits)))


@dataclass(frozen=True, repr=False)
class Int(Domain):
    """A whole number in [low, high], both included.

    Args:
        low: smallest value; above 0 on a log scale.
        high: largest value.
        scale: ``"linear"`` or ``"log"``.
        step: only low, low + step, …, high; linear scale only.
        default: by default the middle of the range on its scale.
        prior: where you believe a good value lies.
        confidence: how strongly, as for ``Float``.

    Raises:
        SpaceError: naming the value, what was expected, and the fix.
    """

    low: int
    high: int
    scale: Scale = field(default="linear", kw_only=True)
    step: int | None = field(default=None, kw_only=True)
    default: int = field(default=cast(int, None), kw_only=True)
    prior: int | None = field(default=None, kw_only=True)
    confidence: Confidence = field(default="medium", kw_only=True)

    def __post_init__(self) -> None:
        what = f"Int({self.low!r}, {self.high!r})"
        _set(self, low=_whole(what, "low", self.low), high=_whole(what, "high", self.high))
        if self.scale == "one_minus_log":
            raise SpaceError(
                f"{what}: one_minus_log is for numbers below 1; use 'log' or 'linear'."
            )
        _check_range(self, what)
        if self.step is not None:
            step = _checked_step(what, self.low, self.high, _whole(what, "step", self.step))
            _set(self, step=int(step))
        _check_beliefs(self, what)

    @property
    def cardinality(self) -> int:
        """Return how many values there are."""
        return (self.high - self.low) // (self.step or 1) + 1

    def encode(self, value: int) -> float:
        """Return the centre of the value's bin in [0, 1]."""
        if self.scale == "log":
            return to_unit("log", self.low - 0.5, self.high + 0.5, value)
        return ((value - self.low) // (self.step or 1) + 0.5) / self.cardinality

    def decode(self, unit: float) -> int:
        """Return the value whose bin holds *unit*."""
        if self.scale == "log":
            x = from_unit("log", self.low - 0.5, self.high + 0.5, unit)
            return min(self.high, max(self.low, round(x)))
        return self.low + _bin(unit, self.cardinality) * (self.step or 1)

    def quantile(self, unit: float) -> int:
        """Return the value at a quantile of the prior."""
        return self.decode(_believed(unit, self.prior, self.encode, self.confidence))

    def check(self, name: str, value: Any) -> int:
        """Return *value* as an int of this domain; 64.0 is 64."""
        number = _number(name, value)
        step = self.step or 1
        index = round((min(max(number, self.low), self.high) - self.low) / step)
        closest = self.low + min(index, self.cardinality - 1) * step
        if number != closest:
            raise _outside(name, value, self, closest)
        return closest


@dataclass(frozen=True, init=False, repr=False)
class Choice(Domain):
    """One of a few options, in no order.

    Args:
        *options: strings, numbers, booleans, None, or tuples of these; or one list of them; or one
            dict whose values are the sub-spaces that each option opens:
            ``Choice({"sgd": Space(momentum=...), "adam": Space(beta_1=...)})``.
        default: by default the first option.
        prior: the option you believe in. Its probability rises from 1/k by 25, 50 or 75 % of the way
            to 1.
        confidence: ``"low"``, ``"medium"`` or ``"high"``.

    Raises:
        SpaceError: no options, the same one twice, or one of a type that cannot be stored.
    """

    options: tuple[Any, ...]
    default: Any
    prior: Any
    confidence: Confidence
    subspaces: Mapping[str, Space] = field(compare=False, repr=False)

    def __init__(
        self,
        *options: Any,
        default: Any = None,
        prior: Any = None,
        confidence: Confidence = "medium",
        condition: Condition = (),
        subspaces: Mapping[str, Space] | None = None,
    ) -> None:
        if len(options) == 1 and isinstance(options[0], Mapping):
            subspaces = cast("Mapping[str, Space]", options[0])
            options = tuple(subspaces)
        elif len(options) == 1 and isinstance(options[0], set | frozenset):
            # A set's own order differs from process to process.
            options = tuple(sorted(options[0], key=lambda o: (type(o).__name__, _sortable(o))))
        elif len(options) == 1 and isinstance(options[0], list | range):
            options = tuple(cast("Sequence[Any]", options[0]))
        chosen = tuple(_option(option) for option in options)
        if not chosen:
            raise SpaceError("Choice() has no options: give at least one.")
        for i, option in enumerate(chosen):
            if any(_same(option, other) for other in chosen[:i]):
                raise SpaceError(f"Choice has the option {option!r} twice: give each one once.")
        _set(
            self,
            condition=condition,
            options=chosen,
            confidence=_checked_confidence("Choice", confidence),
            subspaces=dict(subspaces or {}),
            prior=None,
            default=chosen[0],
        )
        if default is not None:
            _set(self, default=self.check("default", default))
        if prior is not None:
            _set(self, prior=self.check("prior", prior))

    @property
    def closed(self) -> Choice:
        """Return the choice without the sub-spaces that its options open."""
        other = copy.copy(self)
        _set(other, subspaces={})
        return other

    @property
    def cardinality(self) -> int:
        """Return how many options there are."""
        return len(self.options)

    def encode(self, value: Any) -> float:
        """Return the centre of the option's bin in [0, 1]."""
        return (self._index(value) + 0.5) / len(self.options)

    def decode(self, unit: float) -> Any:
        """Return the option whose bin holds *unit*."""
        return self.options[_bin(unit, len(self.options))]

    def quantile(self, unit: float) -> Any:
        """Return the option at a quantile of the prior."""
        if self.prior is None:
            return self.decode(unit)
        count, favourite = len(self.options), self._index(self.prior)
        mass = 1 / count + (1 - 1 / count) * _SHARE[self.confidence]
        rest = (1 - mass) / max(1, count - 1)
        for i, option in enumerate(self.options):
            unit -= mass if i == favourite else rest
            if unit < 0:
                return option
        return self.options[-1]

    def check(self, name: str, value: Any) -> Any:
        """Return the option that equals *value*."""
        try:
            return self.options[self._index(_plain(value))]
        except ValueError:
            known = ", ".join(map(repr, self.options))
            hint = nearest(str(value), [str(option) for option in self.options])
            raise SpaceError(f"{name}={value!r}: expected one of {known}.{hint}") from None

    def _index(self, value: Any) -> int:
        for i, option in enumerate(self.options):
            if _same(option, value):
                return i
        for i, option in enumerate(self.options):
            if type(option) in (int, float) and type(value) in (int, float) and option == value:
                return i
        raise ValueError(value)


@dataclass(frozen=True, repr=False)
class Bool(Domain):
    """True or False.

    Args:
        default: False by default.
        prior: the value you believe in, or None.
        confidence: how strongly, as for ``Choice``.

    Raises:
        SpaceError: a default or prior that is no boolean.
    """

    default: bool = False
    prior: bool | None = field(default=None, kw_only=True)
    confidence: Confidence = field(default="medium", kw_only=True)

    def __post_init__(self) -> None:
        _checked_confidence("Bool", self.confidence)
        _set(self, default=self.check("default", self.default))
        if self.prior is not None:
            _set(self, prior=self.check("prior", self.prior))

    @property
    def cardinality(self) -> int:
        """Return 2."""
        return 2

    def encode(self, value: bool) -> float:
        """Return 0.25 for False and 0.75 for True."""
        return 0.75 if value else 0.25

    def decode(self, unit: float) -> bool:
        """Return False below one half."""
        return unit >= 0.5

    def quantile(self, unit: float) -> bool:
        """Return the value at a quantile of the prior."""
        if self.prior is None:
            return self.decode(unit)
        mass = 0.5 + 0.5 * _SHARE[self.confidence]
        return unit >= (1 - mass if self.prior else mass)

    def check(self, name: str, value: Any) -> bool:
        """Return *value* if it is a boolean."""
        if type(plain := _plain(value)) is bool:
            return plain
        raise SpaceError(f"{name}={value!r}: expected True or False.")


@dataclass(frozen=True, repr=False)
class Constant(Domain):
    """One value that is recorded but not searched.

    Raises:
        SpaceError: a value of a type that cannot be stored.
    """

    value: Any

    def __post_init__(self) -> None:
        _set(self, value=_option(self.value))

    @property
    def default(self) -> Any:
        """Return the value."""
        return self.value

    @property
    def cardinality(self) -> int:
        """Return 1."""
        return 1

    def encode(self, value: Any) -> float:
        """Return 0.5."""
        return 0.5

    def decode(self, unit: float) -> Any:
        """Return the value."""
        return self.value

    def check(self, name: str, value: Any) -> Any:
        """Return the value if that is it."""
        plain = _plain(value)
        if not (_same(plain, self.value) or self._equals(plain)):
            raise SpaceError(f"{name}={value!r}: it is the constant {self.value!r}.")
        return self.value

    def _equals(self, plain: Any) -> bool:
        numbers = (int, float)  # 64.0 is 64, but True is not 1
        return type(plain) in numbers and type(self.value) in numbers and plain == self.value


def one_or_all(values: tuple[Any, ...]) -> Any:
    """Return the only value of a tuple, or the tuple."""
    return values[0] if len(values) == 1 else values


def _set(domain: Domain, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(domain, name, value)


def _bin(unit: float, count: int) -> int:
    return min(count - 1, max(0, int(unit * count)))


def _believed(unit: float, prior: float | None, encode: Any, confidence: Confidence) -> float:
    """Return the quantile *unit* of a normal round the prior, cut off at 0 and 1."""
    if prior is None:
        return unit
    belief = NormalDist(encode(prior), _SPREAD[confidence])
    below, above = belief.cdf(0.0), belief.cdf(1.0)
    share = min(max(below + unit * (above - below), 1e-12), 1 - 1e-12)
    return min(1.0, max(0.0, belief.inv_cdf(share)))


def _number(name: str, value: Any) -> float:
    plain = _plain(value)
    if isinstance(plain, bool | str | bytes | complex) or plain is None:
        raise SpaceError(f"{name}={value!r}: expected a number, got {type(value).__name__}.")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpaceError(f"{name}={value!r}: expected a number ({error}).") from None
    if not math.isfinite(number):
        raise SpaceError(f"{name}={value!r}: expected a finite number.")
    return number


def _finite(what: str, name: str, value: Any) -> float:
    try:
        return _number(name, value)
    except SpaceError as error:
        raise SpaceError(f"{what}: {error}") from None


def _whole(what: str, name: str, value: Any) -> int:
    number = _finite(what, name, value)
    if number != int(number):
        closest = max(1, round(number)) if name == "step" else round(number)
        raise SpaceError(
            f"{what}: {name} must be a whole number, got {value!r}; use {closest}, or Float."
        )
    if abs(value if isinstance(value, int) else number) > _LARGEST:
        raise SpaceError(f"{what}: {name} must lie within ±2**53, got {value!r}.")
    return int(number)


def _check_range(domain: Float | Int, what: str) -> None:
    low, high = domain.low, domain.high
    scale = check_scale(domain.scale, what)
    if low == high:
        raise SpaceError(f"{what}: low equals high; use Constant({low!r}) for one value.")
    if low > high:
        raise SpaceError(f"{what}: low must be below high; did you mean ({high!r}, {low!r})?")
    if scale == "log" and low <= 0:
        raise SpaceError(
            f"{what}: a log scale needs low above 0, got {low!r}; "
            + (
                f"start at a small positive number such as {high / 1e4:.0e}, or "
                if high > 0
                else ""
            )
            + "use scale='linear'."
        )
    if scale == "one_minus_log" and high >= 1:
        raise SpaceError(
            f"{what}: one_minus_log needs high below 1, got {high!r}; end at 0.999, say."
        )
    if domain.step is not None and scale != "linear":
        raise SpaceError(
            f"{what}: step={domain.step!r} goes with the linear scale only; leave the step out, or "
            "list the values in a Choice."
        )


def _checked_step(what: str, low: float, high: float, step: Any) -> float:
    step = _finite(what, "step", step)
    if step <= 0:
        raise SpaceError(f"{what}: step must be above 0, got {step!r}.")
    steps = (high - low) / step
    if not math.isfinite(steps) or steps > _LARGEST:
        raise SpaceError(f"{what}: step={step!r} is too small for the range; leave it out.")
    if abs(steps - round(steps)) > 1e-9 * max(1.0, steps) or round(steps) == 0:
        reachable = low + max(1, math.floor(steps + 1e-9)) * step
        raise SpaceError(
            f"{what}: steps of {step:g} from {low:g} do not end at {high:g}; "
            f"use high={reachable:.12g}."
        )
    return step


def _check_beliefs(domain: Float | Int, what: str) -> None:
    _checked_confidence(what, domain.confidence)
    for name in ("default", "prior"):
        value = getattr(domain, name)
        if value is not None:
            try:
                _set(domain, **{name: domain.check(name, value)})
            except SpaceError as error:
                raise SpaceError(f"{what}: {error}") from None
    if cast(Any, domain.default) is None:
        _set(domain, default=domain.decode(0.5))


def _checked_confidence(what: str, confidence: str) -> Confidence:
    if not isinstance(confidence, str) or confidence not in _SPREAD:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpaceError(
            f"{what}: confidence must be 'low', 'medium' or 'high', got {confidence!r}."
        )
    return cast(Confidence, confidence)


def _outside(name: str, value: Any, domain: Float | Int, closest: float) -> SpaceError:
    step = f" in steps of {domain.step:g}" if domain.step else ""
    kind = "a whole number" if isinstance(domain, Int) else "a number"
    return SpaceError(
        f"{name}={value!r}: expected {kind} from {domain.low:g} to {domain.high:g}{step}; "
        f"the nearest is {closest!r}."
    )


def _option(value: Any) -> Any:
    """Return an option as plain data."""
    value = _plain(value)
    if isinstance(value, tuple):
        return tuple(_option(part) for part in cast("tuple[Any, ...]", value))
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"{value!r} cannot be an option: expected a finite number.")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise SpaceError(f"{value!r} cannot be an option: expected a number below 2**63.")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise SpaceError(
        f"{value!r} cannot be an option: expected a string, a number, a boolean, None or a tuple of "
        "these. Name it by a string, and look the object up in your build function."
    )


def _plain(value: Any) -> Any:
    """Return Python's own value for numpy's scalars, enumerations' members, and lists."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, list | tuple):
        return tuple(_plain(part) for part in cast("Sequence[Any]", value))
    if type(value) is bool:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value


def _sortable(option: Any) -> Any:
    return option if isinstance(option, str | int | float) else repr(option)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _decimals(x: float) -> int:
    """Return how many digits after the point *x* is written with."""
    mantissa, _, exponent = repr(x).partition("e")
    after = len(mantissa.partition(".")[2].rstrip("0"))
    return max(0, after - int(exponent or 0))
