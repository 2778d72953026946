"""Ranges: ``Float`` and ``Int``, on a scale, with or without a step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

from luthier.errors import SpaceError
from luthier.space.domains import Confidence, Domain, assign, believed, bin_of
from luthier.space.keywords import settings_told
from luthier.space.plain import decimals, finite, number, whole
from luthier.space.range_checks import (
    check_beliefs,
    check_range,
    check_resolution,
    checked_step,
    outside,
)
from luthier.space.scales import Scale, from_unit, to_unit


@settings_told
@dataclass(frozen=True, repr=False)
class Float(Domain):
    """A real number in [low, high].

    Args:
        low: smallest value; above 0 on a log scale.
        high: largest value; below 1 on ``one_minus_log``.
        scale: ``"linear"``, ``"log"`` or ``"one_minus_log"``.
        step: only low, low + step, …, high; linear scale only.
        default: by default the middle of the range on its scale.
        prior: where you believe a good value lies; draws centre on it (see ``confidence``), and a search
            without a default of yours begins there.
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
        low, high = finite(what, "low", self.low), finite(what, "high", self.high)
        assign(self, low=low, high=high)
        check_range(self, what)
        if self.step is not None:
            assign(self, step=checked_step(what, self.low, self.high, self.step))
            check_resolution(self, what)
            assign(self, high=self._at(cast(int, self.cardinality) - 1))  # 0.3, not 0.1 * 3
        check_beliefs(self, what)

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
            return self._at(bin_of(unit, cast(int, self.cardinality)))
        return from_unit(self.scale, self.low, self.high, unit)

    def quantile(self, unit: float) -> float:
        """Return the value at a quantile of the prior."""
        return self.decode(believed(unit, self.prior, self.encode, self.confidence))

    def check(self, name: str, value: Any) -> float:
        """Return *value* as a float of this domain."""
        given = number(name, value)
        slack = (self.step or 0.0) * 1e-9
        if not self.low - slack <= given <= self.high + slack:
            raise outside(name, value, self, min(max(given, self.low), self.high))
        if self.step is not None:
            index = round((given - self.low) / self.step)
            closest = self._at(min(index, cast(int, self.cardinality) - 1))
            if not math.isclose(given, closest, rel_tol=1e-9, abs_tol=self.step * 1e-9):
                raise outside(name, value, self, closest)
            return closest
        return given

    def _at(self, index: int) -> float:
        """Return low + index * step without the noise of binary fractions (0.1 + 2 * 0.1 is 0.3)."""
        assert self.step is not None
        digits = max(decimals(self.low), decimals(self.step))
        return round(self.low + index * self.step, digits)


@settings_told
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
        assign(self, low=whole(what, "low", self.low), high=whole(what, "high", self.high))
        if self.scale == "one_minus_log":
            raise SpaceError(
                f"{what}: one_minus_log is for numbers below 1; use 'log' or 'linear'."
            )
        check_range(self, what)
        if self.step is not None:
            step = checked_step(what, self.low, self.high, whole(what, "step", self.step))
            assign(self, step=int(step))
        check_resolution(self, what)
        check_beliefs(self, what)

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
        return self.low + bin_of(unit, self.cardinality) * (self.step or 1)

    def values(self, count: int | None = None) -> list[Any]:
        """Return the values of a grid; see ``Domain.values``. On a log scale the bins are not even."""
        if count is None or count >= self.cardinality:
            return list(range(self.low, self.high + 1, self.step or 1))
        return super().values(count)

    def quantile(self, unit: float) -> int:
        """Return the value at a quantile of the prior."""
        return self.decode(believed(unit, self.prior, self.encode, self.confidence))

    def check(self, name: str, value: Any) -> int:
        """Return *value* as an int of this domain; 64.0 is 64."""
        given = number(name, value)
        step = self.step or 1
        index = round((min(max(given, self.low), self.high) - self.low) / step)
        closest = self.low + min(index, self.cardinality - 1) * step
        if given != closest:
            raise outside(name, value, self, closest)
        return closest
