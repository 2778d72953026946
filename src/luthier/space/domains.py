"""Domains: what values one hyperparameter may take, and on which scale.

Every domain encodes a value as a number in [0, 1] and decodes it back: exactly for what is discrete,
to rounding for what is continuous. A discrete value sits at the centre of its own bin. ``Float`` and
``Int`` are in ``ranges``; ``Choice``, ``Bool`` and ``Constant`` in ``options``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from statistics import NormalDist
from typing import Any, ClassVar, Literal, Self, cast

from luthier.errors import SpaceError
from luthier.space.plain import same

Confidence = Literal["low", "medium", "high"]
Condition = tuple[tuple[str, tuple[Any, ...]], ...]
SPREAD = {"low": 0.5, "medium": 0.25, "high": 0.125}  # of the unit range, as in PriorBand
SHARE = {"low": 0.25, "medium": 0.5, "high": 0.75}  # towards certainty, for choices


@dataclass(frozen=True, repr=False)
class Domain:
    """What every domain has: a condition under which its hyperparameter is active.

    Attributes:
        condition: parents and the values of theirs that make it active, all of which must hold.
        default_given: whether the default is somebody's word; it then goes before what is believed in.
    """

    condition: Condition = field(default=(), kw_only=True)
    default_given: ClassVar[bool] = False  # each domain's own, but no argument of it

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
        assign(other, condition=condition)
        return other

    @property
    def free(self) -> Self:
        """Return the domain without its condition."""
        return self.under(())

    def __repr__(self) -> str:
        own = [f for f in fields(self) if f.name not in ("condition", "subspaces")]
        words = self._words()
        words += [
            f"{f.name}={value!r}"
            for f in own
            if f.kw_only
            and (value := getattr(self, f.name)) not in (None, f.default)
            and f.name != "default"
        ]
        when = "".join(f".when({p}={one_or_all(v)!r})" for p, v in self.condition)
        return f"{type(self).__name__}({', '.join(words)}){when}"

    def _words(self) -> list[str]:
        """Return the arguments that are written without a name."""
        own = [f for f in fields(self) if f.name != "condition" and not f.kw_only]
        return [repr(getattr(self, f.name)) for f in own]

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


def equal(domain: Domain, other: object) -> bool:
    """Return True for domains of one kind whose fields are the same: options 1 and 2 are not 1.0 and 2.0."""
    return type(other) is type(domain) and all(
        same(getattr(domain, f.name), getattr(other, f.name)) for f in fields(domain) if f.compare
    )


def one_or_all(values: tuple[Any, ...]) -> Any:
    """Return the only value of a tuple, or the tuple."""
    return values[0] if len(values) == 1 else values


def assign(domain: Domain, **values: Any) -> None:
    """Set fields of a frozen domain while it is made."""
    for name, value in values.items():
        object.__setattr__(domain, name, value)


def bin_of(unit: float, count: int) -> int:
    """Return which of *count* equal bins holds *unit*."""
    return min(count - 1, max(0, int(unit * count)))


def believed(
    unit: float, prior: float | None, encode: Callable[[Any], float], confidence: Confidence
) -> float:
    """Return the quantile *unit* of a normal round the prior, cut off at 0 and 1."""
    if prior is None:
        return unit
    belief = NormalDist(encode(prior), SPREAD[confidence])
    below, above = belief.cdf(0.0), belief.cdf(1.0)
    share = min(max(below + unit * (above - below), 1e-12), 1 - 1e-12)
    return min(1.0, max(0.0, belief.inv_cdf(share)))


def checked_confidence(what: str, confidence: str) -> Confidence:
    """Return *confidence* if it is one."""
    if not isinstance(confidence, str) or confidence not in SPREAD:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpaceError(
            f"{what}: confidence must be 'low', 'medium' or 'high', got {confidence!r}."
        )
    return cast(Confidence, confidence)
