"""Values as plain data: Python's own numbers, strings, booleans, None, and tuples of these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from luthier.errors import SpaceError

LARGEST = 2**53  # up to here doubles hold every whole number


def plain(value: Any) -> Any:
    """Return Python's own value for numpy's scalars, enumerations' members, and lists."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, list | tuple):
        return tuple(plain(part) for part in cast("Sequence[Any]", value))
    if type(value) is bool:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value


def option(value: Any) -> Any:
    """Return an option as plain data."""
    value = plain(value)
    if isinstance(value, tuple):
        return tuple(option(part) for part in cast("tuple[Any, ...]", value))
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


def sortable(value: Any) -> tuple[str, Any]:
    """Return a key that sorts options of any types."""
    return type(value).__name__, value if isinstance(value, str | int | float) else repr(value)


def same(a: Any, b: Any) -> bool:
    """Return True for equal values of one type: True is not 1, nor is (True, 2) the same as (1, 2)."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        parts = cast("tuple[Any, ...]", a), cast("tuple[Any, ...]", b)
        return len(parts[0]) == len(parts[1]) and all(map(same, *parts))
    return bool(a == b)


def number(name: str, value: Any) -> float:
    """Return *value* as a finite float, if it is a number."""
    own = plain(value)
    if isinstance(own, bool | str | bytes | complex) or own is None:
        raise SpaceError(f"{name}={value!r}: expected a number, got {type(value).__name__}.")
    try:
        real = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpaceError(f"{name}={value!r}: expected a number ({error}).") from None
    if not math.isfinite(real):
        raise SpaceError(f"{name}={value!r}: expected a finite number.")
    return real


def finite(what: str, name: str, value: Any) -> float:
    """Return ``number(name, value)``; its error begins with *what*."""
    try:
        return number(name, value)
    except SpaceError as error:
        raise SpaceError(f"{what}: {error}") from None


def whole(what: str, name: str, value: Any) -> int:
    """Return *value* as an int, if it is a whole number within ±2**53."""
    real = finite(what, name, value)
    if real != int(real):
        closest = max(1, round(real)) if name == "step" else round(real)
        raise SpaceError(
            f"{what}: {name} must be a whole number, got {value!r}; use {closest}, or Float."
        )
    if abs(value if isinstance(value, int) else real) > LARGEST:
        raise SpaceError(f"{what}: {name} must lie within ±2**53, got {value!r}.")
    return int(real)


def decimals(x: float) -> int:
    """Return how many digits after the point *x* is written with."""
    mantissa, _, exponent = repr(x).partition("e")
    after = len(mantissa.partition(".")[2].rstrip("0"))
    return max(0, after - int(exponent or 0))
