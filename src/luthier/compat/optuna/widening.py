"""Two ranges of one parameter, and what holds both."""

from __future__ import annotations

from typing import Any

from luthier.space import Choice, Constant, Domain, Float, Int


def wider(a: Domain, b: Domain) -> Domain:
    """Return a domain that holds both."""
    if a == b:
        return a
    if isinstance(a, Int | Float) and isinstance(b, Int | Float):
        kind = Int if isinstance(a, Int) and isinstance(b, Int) else Float
        scale = a.scale if a.scale == b.scale else "linear"
        return kind(min(a.low, b.low), max(a.high, b.high), scale=scale)  # type: ignore[arg-type]
    if isinstance(a, Constant) and isinstance(b, Int | Float):
        a, b = b, a
    if isinstance(a, Int | Float) and isinstance(b, Constant):
        if a.contains(b.value):
            return a
        kind = type(a)
        return kind(min(a.low, b.value), max(a.high, b.value), scale=a.scale)
    options = [*_options(a), *(o for o in _options(b) if o not in _options(a))]
    return Choice(*options)


def _options(domain: Domain) -> list[Any]:
    return list(domain.options) if isinstance(domain, Choice) else [getattr(domain, "value", None)]


__all__ = ["wider"]
