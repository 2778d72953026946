"""What a range must fulfil, and the messages that say how to mend one that does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from luthier.errors import SpaceError
from luthier.space.domains import assign, checked_confidence
from luthier.space.plain import LARGEST, finite
from luthier.space.scales import check_scale

if TYPE_CHECKING:
    from luthier.space.ranges import Float, Int

_MOST = 2**52  # values of which a double in [0, 1] still finds the right one
_LARGEST_LOG = 2**44  # and that whole number's neighbour on a log scale


def check_range(domain: Float | Int, what: str) -> None:
    """Refuse an empty range, and one that its scale cannot hold."""
    low, high = domain.low, domain.high
    scale = check_scale(domain.scale, what)
    if low == high:
        raise SpaceError(f"{what}: low equals high; use Constant({low!r}) for one value.")
    if low > high:
        raise SpaceError(f"{what}: low must be below high; did you mean ({high!r}, {low!r})?")
    if scale == "log" and low <= 0:
        raise SpaceError(
            f"{what}: a log scale needs low above 0, got {low!r}; "
            + (f"start at {_smallest(domain)}, or " if high > (type(low) is int) else "")
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


def _smallest(domain: Float | Int) -> str:
    """Return where a range on a log scale may begin, in words."""
    if type(domain.low) is int:
        return "1"
    return f"a small positive number such as {domain.high / 1e4:.0e}"


def check_resolution(domain: Float | Int, what: str) -> None:
    """Refuse values that a double in [0, 1] cannot tell apart, or that are not apart themselves."""
    low, high = domain.low, domain.high
    if type(domain.low) is int and domain.scale == "log" and high > _LARGEST_LOG:
        raise SpaceError(
            f"{what}: whole numbers on a log scale end at 2**44, got high={high!r}; use "
            f"Float({low:g}, {high:g}, scale='log')."
        )
    crowded = domain.step is not None and domain.step < 4 * math.ulp(max(abs(low), abs(high)))
    if crowded or cast(int, domain.cardinality) > _MOST:
        raise SpaceError(
            f"{what}: more values than numbers can tell apart; use "
            + (f"a step larger than {domain.step:g}, or no step." if domain.step else "Float.")
        )


def checked_step(what: str, low: float, high: float, step: Any) -> float:
    """Return the step if it is positive and leads from low to high."""
    step = finite(what, "step", step)
    if step <= 0:
        raise SpaceError(f"{what}: step must be above 0, got {step!r}.")
    steps = (high - low) / step
    if not math.isfinite(steps) or steps > LARGEST:
        raise SpaceError(f"{what}: step={step!r} is too small for the range; leave it out.")
    if abs(steps - round(steps)) > 1e-9 * max(1.0, steps) or round(steps) == 0:
        reachable = low + max(1, math.floor(steps + 1e-9)) * step
        raise SpaceError(
            f"{what}: steps of {step:g} from {low:g} do not end at {high:g}; "
            f"use high={reachable:.12g}."
        )
    return step


def check_beliefs(domain: Float | Int, what: str) -> None:
    """Refuse a default or prior outside the range; without a default take the middle."""
    checked_confidence(what, domain.confidence)
    assign(domain, default_given=cast(Any, domain.default) is not None)
    for name in ("default", "prior"):
        value = getattr(domain, name)
        if value is not None:
            try:
                assign(domain, **{name: domain.check(name, value)})
            except SpaceError as error:
                raise SpaceError(f"{what}: {error}") from None
    if cast(Any, domain.default) is None:
        assign(domain, default=domain.decode(0.5))


def outside(name: str, value: Any, domain: Float | Int, closest: float) -> SpaceError:
    """Return the error for a value that the range does not hold."""
    step = f" in steps of {domain.step:g}" if domain.step else ""
    kind = "a whole number" if type(domain.low) is int else "a number"
    return SpaceError(
        f"{name}={value!r}: expected {kind} from {domain.low:g} to {domain.high:g}{step}; "
        f"the nearest is {closest!r}."
    )
