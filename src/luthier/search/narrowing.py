"""A box in a space: shrunk round good trials where statistics allow it, moved to where the best lie.

A hyperparameter is narrowed only when the ranks of the trials' losses follow it: a parabola through
them explains more than it does for ranks that are shuffled (a permutation test; Fisher 1935, section
21). That is what keeps a box from shrinking below what noise can tell apart: inside a valley whose
floor is noise, the ranks follow nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from luthier.search.columns import Columns
from luthier.space import Choice, Domain, Float, Int, Space
from luthier.space.conditions import holds
from luthier.space.domains import SPREAD, Condition, bin_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

_FEWEST = 8  # trials by which anything is judged
_OF_AN_OPTION = 4  # trials with it, and trials without it, by which an option is judged
_KEPT = 3  # trials that a range is drawn round, at least
_CHANCE = 0.05  # of narrowing a range that makes no difference, in any of the rounds
_CHANCE_OF_OPTIONS = 0.01  # of dropping any option of a choice that makes no difference
_LEAST = 0.25  # of its width is what one round leaves of a range, at least
_WORTH = 0.9  # of its width: a range that would keep more than this is left as it is
_SHUFFLES = 999
_AT_THE_EDGE = 0.1  # of its width: where a good trial says that the box should move
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Part:
    """What is left of one hyperparameter.

    Attributes:
        low: lowest place in [0, 1] on the hyperparameter's own scale; 0 for a choice.
        high: highest place; 1 for a choice.
        options: numbers of the options that are left, in their order; empty for what is no choice.
        reason: why it is as it is, in words.
    """

    low: float = 0.0
    high: float = 1.0
    options: tuple[int, ...] = ()
    reason: str = field(default="", compare=False)


Box = tuple[Part, ...]  # one part for each searched hyperparameter, in the space's order


def whole(columns: Columns) -> Box:
    """Return the box that holds all of the space."""
    return tuple(Part(options=tuple(range(count))) for count in columns.options)


def widened(box: Box, columns: Columns, place: Array) -> Box:
    """Return *box* moved out by half its width wherever the best trial's *place* (d,) is at its edge."""
    parts: list[Part] = []
    for part, domain, x in zip(box, columns.domains, map(float, place), strict=True):
        if math.isnan(x):
            parts.append(part)
        elif part.options:
            options = sorted({*part.options, _option(x, domain)})
            parts.append(replace(part, options=tuple(options)))
        else:
            width = part.high - part.low
            low, high = part.low, part.high
            if low > 0.0 and x < low + _AT_THE_EDGE * width:
                low = min(low, x) - width / 2
            if high < 1.0 and x > high - _AT_THE_EDGE * width:
                high = max(high, x) + width / 2
            if (low, high) != (part.low, part.high):
                reason = f"{part.reason}; moved out again: the best trial lay at its edge"
                part = _aligned(replace(part, low=low, high=high, reason=reason), domain)
            parts.append(part)
    return tuple(parts)


def shrunk(
    box: Box, columns: Columns, points: Array, losses: Array, share: float, rounds: int = 1
) -> Box:
    """Return *box* shrunk round the best trials.

    Args:
        box: that the trials were drawn in, and that holds the best one; those outside do not count.
        columns: of the space.
        points: (n, d) places of the trials, NaN where inactive.
        losses: (n,) theirs, infinite for trials that diverged or ran out of memory.
        share: of the trials, in (0, 1): the best ones, which the box is drawn round.
        rounds: there will be, which share out the chance of narrowing what makes no difference.
    """
    import numpy as np

    inside = _inside(box, columns, points)
    points, losses = points[inside], losses[inside]
    parts: list[Part] = []
    for column, (part, domain) in enumerate(zip(box, columns.domains, strict=True)):
        active = ~np.isnan(points[:, column])
        places, values = points[active, column], losses[active]
        finite = int(np.isfinite(values).sum())
        kept = min(finite, max(_KEPT, math.ceil(share * len(values))))
        if len(places) < _FEWEST or kept < _KEPT:
            found = replace(part, reason=f"only {min(len(places), finite)} trials")
        elif part.options:
            found = _options(part, domain, places, values, kept, rounds)
        else:
            found = _range(part, domain, places, values, kept, rounds)
        was_narrowed = part != Part(options=tuple(range(columns.options[column])))
        parts.append(
            part if found == part and was_narrowed else found
        )  # the old reason still holds
    return tuple(parts)


@lru_cache(maxsize=32)
def space_in(space: Space, box: Box) -> Space:
    """Return the part of *space* that lies in *box*, the same object for the same box.

    What only dropped options would open goes with them, and so do the constraints on it.
    """
    parts = dict(zip(space.searched, box, strict=True))
    made: dict[str, Domain] = {}
    for name, domain in space.domains.items():
        condition = _condition(domain.condition, made)
        if condition is not None:
            inner = _domain_in(domain, parts[name]) if name in parts else domain
            made[name] = inner.under(condition)
    gone = space.domains.keys() - made.keys()
    held = [c.text for c in space.constraints if gone.isdisjoint(c.names)]
    return Space(made, constraints=held)


# -- evidence --------------------------------------------------------------------------------------


def _range(
    part: Part, domain: Domain, places: Array, losses: Array, kept: int, rounds: int
) -> Part:
    """Return the range round the *kept* best trials, or *part* when chance could explain as much."""
    import numpy as np

    p = _p_value(places, losses)
    if p > _CHANCE / rounds:
        return replace(part, reason=f"p = {p:.1g}")
    good = places[np.argsort(losses, kind="stable")[:kept]]
    # So many even draws from a range leave out as much on either side of them, on average; and the
    # optimum may lie between two neighbours.
    margin = max(float(np.ptp(good)) / (kept - 1), (part.high - part.low) / len(places))
    low = max(part.low, float(good.min()) - margin)
    high = min(part.high, float(good.max()) + margin)
    least = _LEAST * (part.high - part.low)
    if high - low < least:
        low = min(max(part.low, (low + high - least) / 2), part.high - least)
        high = low + least
    if high - low > _WORTH * (part.high - part.low):
        return replace(part, reason=f"p = {p:.1g}, but good values lie everywhere")
    reason = f"the best {kept} of {len(places)} lie there, p = {p:.1g}"
    return _aligned(replace(part, low=low, high=high, reason=reason), domain)


def _p_value(places: Array, losses: Array) -> float:
    """Return how likely shuffled ranks follow a parabola over *places* (n,) as well as the losses' do."""
    import numpy as np

    x = places - places.mean()
    basis = np.stack([x, x**2 - np.mean(x**2)], axis=1)
    left, sizes, _ = np.linalg.svd(basis, full_matrices=False)
    left = left[:, sizes > _ROUNDING]  # of two different values, a line says all
    ranks = _ranks(losses)
    ranks -= ranks.mean()
    explained = float(np.sum((ranks @ left) ** 2))
    by_chance = np.sum((ranks[_shuffled(len(ranks))] @ left) ** 2, axis=1)
    as_much = int(np.sum(by_chance >= explained * (1 - _ROUNDING)))
    return (1 + as_much) / (1 + _SHUFFLES)


def _ranks(losses: Array) -> Array:
    """Return the ranks (n,) from 1; equal losses share the mean of theirs."""
    import numpy as np

    _, which, counts = np.unique(losses, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


@lru_cache(maxsize=32)
def _shuffled(count: int) -> NDArray[np.intp]:
    """Return orders (_SHUFFLES, count), the same ones always: a box is a function of its trials."""
    import numpy as np

    generator = np.random.Generator(np.random.Philox(key=count))
    return np.argsort(generator.random((_SHUFFLES, count)), axis=1)


def _options(
    part: Part, domain: Domain, places: Array, losses: Array, kept: int, rounds: int
) -> Part:
    """Return the options that are left: one goes if it is worse than the others and not among the best.

    Worse is the one-sided test by Mann & Whitney 1947, at a level shared out among the options.
    """
    import numpy as np
    from scipy.stats import mannwhitneyu

    which = np.array([_option(float(place), domain) for place in places])
    ranks = _ranks(losses)
    best = {int(option) for option in which[np.argsort(losses, kind="stable")[:kept]]}
    dropped: dict[int, float] = {}
    lowest = 1.0
    for option in part.options:
        mine = which == option
        if min(mine.sum(), (~mine).sum()) < _OF_AN_OPTION:
            continue
        p = float(mannwhitneyu(ranks[mine], ranks[~mine], alternative="greater").pvalue)
        p = min(1.0, p * len(part.options))
        lowest = min(lowest, p)
        if p <= _CHANCE_OF_OPTIONS / rounds and option not in best:
            dropped[option] = p
    if not dropped:
        return replace(part, reason=f"p = {lowest:.1g} for the worst option")
    said = [f"{_decoded(domain, option)!r} (p = {p:.1g})" for option, p in dropped.items()]
    before = f"{part.reason}, " if part.reason.startswith("dropped") else "dropped "
    left = tuple(option for option in part.options if option not in dropped)
    return replace(part, options=left, reason=before + ", ".join(said))


# -- places and domains ----------------------------------------------------------------------------


def _option(place: float, domain: Domain) -> int:
    return bin_of(place, cast(int, domain.cardinality))


def _decoded(domain: Domain, option: int) -> Any:
    return domain.decode((option + 0.5) / cast(int, domain.cardinality))


def _inside(box: Box, columns: Columns, points: Array) -> Flags:
    """Return which of *points* (n, d) lie in *box*; what is inactive lies in it."""
    import numpy as np

    found = np.ones(len(points), dtype=bool)
    for column, (part, count) in enumerate(zip(box, columns.options, strict=True)):
        place = points[:, column]
        if part.options:
            which = np.minimum(count - 1, np.floor(np.nan_to_num(place) * count))
            held = np.isin(which, part.options)
        else:
            held = (place >= part.low - _ROUNDING) & (place <= part.high + _ROUNDING)
        found &= held | np.isnan(place)
    return found


def _aligned(part: Part, domain: Domain) -> Part:
    """Return *part* within the space and ending at values there are: two of them, at least."""
    low, high = max(0.0, part.low), min(1.0, part.high)
    if domain.cardinality is not None and isinstance(domain, Float | Int):
        first, last = domain.decode(low), domain.decode(high)
        if first == last:
            step = domain.step or 1
            first, last = max(domain.low, first - step), min(domain.high, last + step)
        low = 0.0 if first <= domain.low else domain.encode(cast(Any, first))
        high = 1.0 if last >= domain.high else domain.encode(cast(Any, last))
    return replace(part, low=low, high=high)


def _domain_in(domain: Domain, part: Part) -> Domain:
    """Return the part of *domain*, of the same kind where there is such a one."""
    given = cast(Any, domain)
    if part.options:
        if len(part.options) == domain.cardinality:
            return domain
        left = Choice(*(_decoded(domain, option) for option in part.options))
        default = given.default if left.contains(given.default) else None
        prior = given.prior if given.prior is not None and left.contains(given.prior) else None
        return Choice(*left.options, default=default, prior=prior, confidence=given.confidence)
    low, high = domain.decode(part.low), domain.decode(part.high)
    if not low < high or (low, high) == (given.low, given.high):
        return domain
    default = given.default if low <= given.default <= high else None
    # A belief is as wide as before, in the narrower range; one that is wider than it says nothing.
    spread = SPREAD[given.confidence] / (part.high - part.low)
    words = sorted((word for word in SPREAD if SPREAD[word] >= spread), key=SPREAD.__getitem__)
    found = replace(given, low=low, high=high, default=default, prior=None)
    if given.prior is None or not words or not low <= given.prior <= high:
        return found
    return replace(found, prior=given.prior, confidence=words[0])


def _condition(condition: Condition, made: Mapping[str, Domain]) -> Condition | None:
    """Return *condition* with the values that are left to the parents; None when it can't hold."""
    found: list[tuple[str, tuple[Any, ...]]] = []
    for parent, values in condition:
        own = tuple(rule for rule in condition if rule[0] == parent)
        left = tuple(
            value
            for value in values
            if parent in made and made[parent].contains(value) and holds(own, {parent: value})
        )
        if not left:
            return None
        found.append((parent, left))
    return tuple(found)
