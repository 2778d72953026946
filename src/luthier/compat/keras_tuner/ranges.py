"""KerasTuner's ranges as Luthier's domains, with its defaults."""

from __future__ import annotations

import math
import warnings

from luthier.errors import LuthierWarning, SpaceError, nearest
from luthier.space import Choice, Constant, Domain, Float, Int
from luthier.space.plain import decimals

_SAMPLINGS = ("linear", "log", "reverse_log")


def int_domain(
    name: str, low: int, high: int, step: int | None, sampling: str | None, default: int | None
) -> Domain:
    """Return what ``hp.Int`` means; the largest value is included where a step reaches it."""
    way = _sampling(name, sampling)
    if low == high:
        return Constant(low)
    first = low if default is None else default
    if step is not None and way == "log":
        values = _geometric(low, high, step)
        return Choice(*map(round, values), default=first)
    if way == "reverse_log":
        _warn_of_linear(name)
    if step is None or way != "linear":
        return Int(low, high, scale="log" if way == "log" else "linear", default=first)
    top = low + (high - low) // step * step
    if top == low:
        return Constant(low)
    return Int(low, top, step=step if step != 1 else None, default=first)


def float_domain(
    name: str,
    low: float,
    high: float,
    step: float | None,
    sampling: str | None,
    default: float | None,
) -> Domain:
    """Return what ``hp.Float`` means.

    ``reverse_log`` is 1 − x uniform in its logarithm, which is what momenta and their kin need;
    KerasTuner's own formula is close to uniform for them.
    """
    way = _sampling(name, sampling)
    low, high = float(low), float(high)
    if low == high:
        return Constant(low)
    first = low if default is None else float(default)
    if step is not None and way == "log":
        return Choice(*_geometric(low, high, step), default=first)
    if step is not None:
        steps = math.floor((high - low) / step + 1e-9)
        top = round(low + steps * step, max(decimals(low), decimals(float(step))))
        return Float(low, top, step=float(step), default=first) if steps else Constant(low)
    if way == "reverse_log":
        if low >= 0 and high < 1:
            return Float(low, high, scale="one_minus_log", default=first)
        _warn_of_linear(name)
    return Float(low, high, scale="log" if way == "log" else "linear", default=first)


def _geometric(low: float, high: float, factor: float) -> list[float]:
    """Return low, low · factor, ... up to high."""
    if factor <= 1 or low <= 0:
        raise SpaceError(
            f"sampling='log' with step={factor!r} from {low!r}: expected a factor above 1, and a "
            "smallest value above 0."
        )
    return [low * factor**i for i in range(math.floor(math.log(high / low, factor) + 1e-9) + 1)]


def _sampling(name: str, sampling: str | None) -> str:
    way = (sampling or "linear").lower()
    if way not in _SAMPLINGS:
        raise SpaceError(
            f"{name}: sampling={sampling!r}: expected one of {', '.join(map(repr, _SAMPLINGS))}."
            f"{nearest(way, _SAMPLINGS)}"
        )
    return way


def _warn_of_linear(name: str) -> None:
    warnings.warn(
        f"{name}: sampling='reverse_log' is for numbers below 1, such as a momentum; it is linear here.",
        LuthierWarning,
        stacklevel=5,
    )
