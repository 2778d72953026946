"""Where a study is to begin: the ranges that somebody gives for its first stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, cast

from luthier.errors import StudyError, nearest
from luthier.search.staged.roles import by_full_name
from luthier.space import Domain, Float, Int, Space

Ends = tuple[float, float]


def is_range(ends: Any) -> bool:
    """Return True for a lower and a higher number."""
    if not isinstance(ends, list | tuple) or len(cast("Sequence[Any]", ends)) != 2:
        return False
    low, high = cast("Sequence[Any]", ends)
    return isinstance(low, Real) and isinstance(high, Real) and float(low) < float(high)


def clipped(domain: Domain, low: float, high: float) -> Ends | None:
    """Return the first and the last value of *domain* from *low* to *high*; None without any.

    Options have no order, and so no such range.
    """
    if not isinstance(domain, Float | Int):
        return None
    low, high = max(low, domain.low), min(high, domain.high)
    if isinstance(domain, Int) or domain.step is not None:
        step = domain.step or 1
        first = math.ceil((low - domain.low) / step - 1e-9)
        last = math.floor((high - domain.low) / step + 1e-9)
        if first > last:
            return None
        if domain.step is None:
            return domain.low + first, domain.low + last
        count = cast(int, domain.cardinality)
        return domain.decode((first + 0.5) / count), domain.decode((last + 0.5) / count)
    return (low, high) if low <= high else None


def started(space: Space, start: Mapping[str, Sequence[float]]) -> dict[str, Ends]:
    """Return the ranges of *start* by full names, as far as the domains hold them."""
    found: dict[str, Ends] = {}
    for name, (low, high) in by_full_name(space, start).items():
        ends = clipped(space.domains[name], float(low), float(high))
        if ends is not None:
            found[name] = ends
    return found


def check_names(given: Mapping[str, Any], what: str, space: Space) -> None:
    """Refuse names that no hyperparameter has.

    Args:
        given: by names, full or short.
        what: how the setting is called.
        space: what is searched.

    Raises:
        StudyError: naming the first of them.
    """
    known = [*space.domains, *map(space.short, space.domains)]
    for name in given:
        if name not in known:
            raise StudyError(
                f"Stages: {what} has {name!r}, which is no hyperparameter of the space."
                f"{nearest(str(name), known)}"
            )


def check_start(start: Mapping[str, Sequence[float]], space: Space) -> None:
    """Refuse ranges of what has none, or beside what the space has.

    Raises:
        StudyError: naming the hyperparameter and what it may be.
    """
    for name, (low, high) in by_full_name(space, start).items():
        domain = space.domains[name]
        if clipped(domain, float(low), float(high)) is None:
            raise StudyError(
                f"Stages: start gives {name} the range ({low:g}, {high:g}), of which it has no value: it is "
                f"{domain.free!r}."
            )
