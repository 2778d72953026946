"""Options: ``Choice`` between a few values, ``Bool``, and ``Constant``."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from luthier.errors import SpaceError, nearest
from luthier.space.domains import (
    SHARE,
    Condition,
    Confidence,
    Domain,
    assign,
    bin_of,
    checked_confidence,
    equal,
)
from luthier.space.keywords import settings_told
from luthier.space.plain import option as plain_option
from luthier.space.plain import plain, same, sortable

if TYPE_CHECKING:
    from luthier.space.space import Space


@settings_told
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
            options = tuple(sorted(options[0], key=sortable))
        elif len(options) == 1 and isinstance(options[0], list | range):
            options = tuple(cast("Sequence[Any]", options[0]))
        chosen = tuple(plain_option(option) for option in options)
        if not chosen:
            raise SpaceError("Choice() has no options: give at least one.")
        for i, option in enumerate(chosen):
            if any(same(option, other) for other in chosen[:i]):
                raise SpaceError(f"Choice has the option {option!r} twice: give each one once.")
        assign(
            self,
            condition=condition,
            options=chosen,
            confidence=checked_confidence("Choice", confidence),
            subspaces=dict(subspaces or {}),
            prior=None,
            default=chosen[0],
            default_given=default is not None,
        )
        if default is not None:
            assign(self, default=self.check("default", default))
        if prior is not None:
            assign(self, prior=self.check("prior", prior))

    def __eq__(self, other: object) -> bool:
        return equal(self, other)

    def _words(self) -> list[str]:
        return [repr(option) for option in self.options]

    @property
    def closed(self) -> Choice:
        """Return the choice without the sub-spaces that its options open."""
        other = copy.copy(self)
        assign(other, subspaces={})
        return other

    @property
    def cardinality(self) -> int:
        """Return how many options there are."""
        return len(self.options)

    def encode(self, value: Any) -> float:
        """Return the centre of the option's bin in [0, 1].

        Raises:
            SpaceError: there is no such option.
        """
        return (self._index(plain(value)) + 0.5) / len(self.options)

    def values(self, count: int | None = None) -> list[Any]:
        """Return every option, whatever *count* is: options have no order to take even ones of."""
        return list(self.options)

    def decode(self, unit: float) -> Any:
        """Return the option whose bin holds *unit*."""
        return self.options[bin_of(unit, len(self.options))]

    def quantile(self, unit: float) -> Any:
        """Return the option at a quantile of the prior."""
        if self.prior is None:
            return self.decode(unit)
        count, favourite = len(self.options), self._index(self.prior)
        mass = 1 / count + (1 - 1 / count) * SHARE[self.confidence]
        rest = (1 - mass) / max(1, count - 1)
        for i, option in enumerate(self.options):
            unit -= mass if i == favourite else rest
            if unit < 0:
                return option
        return self.options[-1]

    def check(self, name: str, value: Any) -> Any:
        """Return the option that equals *value*."""
        try:
            return self.options[self._index(plain(value))]
        except SpaceError as error:
            raise SpaceError(f"{name}={value!r}: {error}") from None

    def _index(self, value: Any) -> int:
        for i, option in enumerate(self.options):
            if same(option, value):
                return i
        for i, option in enumerate(self.options):
            if type(option) in (int, float) and type(value) in (int, float) and option == value:
                return i
        known = ", ".join(map(repr, self.options))
        hint = nearest(str(value), [str(option) for option in self.options])
        raise SpaceError(f"expected one of {known}.{hint}")


@settings_told
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

    default: bool = cast(bool, None)
    prior: bool | None = field(default=None, kw_only=True)
    confidence: Confidence = field(default="medium", kw_only=True)

    def __post_init__(self) -> None:
        checked_confidence("Bool", self.confidence)
        assign(self, default_given=cast(Any, self.default) is not None)
        assign(self, default=self.default_given and self.check("default", self.default))
        if self.prior is not None:
            assign(self, prior=self.check("prior", self.prior))

    @property
    def cardinality(self) -> int:
        """Return 2."""
        return 2

    def encode(self, value: bool) -> float:
        """Return 0.25 for False and 0.75 for True."""
        return 0.75 if value else 0.25

    def values(self, count: int | None = None) -> list[bool]:
        """Return False and True, whatever *count* is."""
        return [False, True]

    def decode(self, unit: float) -> bool:
        """Return False below one half."""
        return unit >= 0.5

    def quantile(self, unit: float) -> bool:
        """Return the value at a quantile of the prior."""
        if self.prior is None:
            return self.decode(unit)
        mass = 0.5 + 0.5 * SHARE[self.confidence]
        return unit >= (1 - mass if self.prior else mass)

    def check(self, name: str, value: Any) -> bool:
        """Return *value* if it is a boolean."""
        if type(own := plain(value)) is bool:
            return own
        raise SpaceError(f"{name}={value!r}: expected True or False.")


@settings_told
@dataclass(frozen=True, repr=False)
class Constant(Domain):
    """One value that is recorded but not searched.

    Raises:
        SpaceError: a value of a type that cannot be stored.
    """

    value: Any

    def __post_init__(self) -> None:
        assign(self, value=plain_option(self.value))

    def __eq__(self, other: object) -> bool:
        return equal(self, other)

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
        own = plain(value)
        if not (same(own, self.value) or self._equals(own)):
            raise SpaceError(f"{name}={value!r}: it is the constant {self.value!r}.")
        return self.value

    def _equals(self, plain: Any) -> bool:
        numbers = (int, float)  # 64.0 is 64, but True is not 1
        return type(plain) in numbers and type(self.value) in numbers and plain == self.value
