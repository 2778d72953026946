"""The range that holds two ranges of the same kind."""

from __future__ import annotations

import math

from luthier.space.domains import Domain
from luthier.space.ranges import Float, Int


def hull(known: Domain, asked: Domain) -> Domain | None:
    """Return the range that holds both; None where they are not of one kind.

    Of one kind are whole numbers, or real ones, on the same scale with the same step from the same place
    on. What *asked* says of a default and a belief counts, and *known* itself is returned where it holds all of
    *asked*.
    """
    if not isinstance(known, Float | Int) or type(known) is not type(asked):
        return None
    assert isinstance(asked, Float | Int)
    if known.scale != asked.scale or known.step != asked.step:
        return None
    if known.step is not None:
        apart = (asked.low - known.low) / known.step
        if not math.isclose(apart, round(apart), abs_tol=1e-6):
            return None
    low, high = min(known.low, asked.low), max(known.high, asked.high)
    if (low, high) == (known.low, known.high):
        return known
    return type(known)(
        low,  # pyright: ignore[reportArgumentType]
        high,  # pyright: ignore[reportArgumentType]
        scale=known.scale,
        step=known.step,  # pyright: ignore[reportArgumentType]
        default=asked.default if asked.default_given else None,  # pyright: ignore[reportArgumentType]
        prior=asked.prior,  # pyright: ignore[reportArgumentType]
        confidence=asked.confidence,
    )
