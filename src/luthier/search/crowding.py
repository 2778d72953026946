"""Do the best trials crowd an edge of the space? Then the optimum may lie outside.

"Identify bad search space boundaries" of the Deep Learning Tuning Playbook (Godbole et al. 2023), as a
test. Edges are looked at on each hyperparameter's own scale. In a study in stages only those trials say
something of a hyperparameter that could have had another value of it: what a stage held lies where it was
put, and what a stage narrowed is no wonder there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from luthier.errors import StudyError
from luthier.search.tried import Tried, tried
from luthier.space import Domain, Float, Int, Space
from luthier.space.wider import Limits, hard_limits, wider
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Side = Literal["low", "high"]
EDGE = 0.1  # of the range, on its own scale, is at an edge
TOP = 0.2  # of the trials are the best
_FEWEST = 5  # best trials by which anything is judged
FEWEST = 2 * _FEWEST  # trials with a finite value, before any edge is judged
LEVEL = 0.05  # chance of any finding where the best trials lie anywhere
_TURNS = 0.1  # level at which the loss rises towards the edge
_ROUNDING = 1e-6  # of a range
_MANY = 20  # values; with more nobody draws just the default


@dataclass(frozen=True)
class Crowded:
    """The best trials of a study crowd one edge of a hyperparameter's range.

    Attributes:
        name: of the hyperparameter.
        side: ``"low"`` or ``"high"``.
        edge: the value at the edge.
        near: how many of the best trials are at the edge.
        best: how many best trials there are.
        share: of the range that counts as the edge.
        p: chance of so many there if the best trials lay anywhere (binomial), times the edges tested.
        to: the edge after widening; None when it is a natural end, such as dropout 0.
        words: all of it in a sentence.
    """

    name: str
    side: Side
    edge: float
    near: int
    best: int
    share: float
    p: float
    to: float | None
    words: str

    def __str__(self) -> str:
        return self.words


def crowded(
    history: History,
    *,
    level: float = LEVEL,
    top: float = TOP,
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Crowded, ...]:
    """Return the edges that the best trials crowd, the surest first.

    An edge is crowded when two things hold. So many of the best trials lie in the outer tenth of the
    range, or at its last value, as would come about with a chance below *level* if the best trials lay
    anywhere (one-sided binomial test; the level is shared out among all edges: Bonferroni). And among
    the trials there (for whole numbers and steps: at the last two values) the loss does not rise
    towards the edge (Kendall 1938): where it does, the optimum lies inside.

    Trials in which a stage held a hyperparameter do not count for it, those of a stage that narrowed it
    count with the part of their narrower range that is at the edge, and one that a stage found to make no
    difference has no crowded edge.

    Args:
        history: of the study.
        level: chance of finding anything where there is nothing.
        top: share of the trials that are the best; 5 at least, and 2 √n at most of n trials.
        limits: by name, ends that no range may pass, in place of those that follow from names and
            scales (``wider.hard_limits``).

    Raises:
        StudyError: *limits* names no hyperparameter of the space, or level or top is no share in (0, 1).
    """
    for what, share in (("level", level), ("top", top)):
        if not 0 < share < 1:
            raise StudyError(f"{what} must be a share in (0, 1), got {share!r}.")
    found = tried(history)
    columns, space = found.columns, history.space
    low, high = _free(history, found)
    dead = {n for stage in history.stages if stage.concluded for n in stage.concluded.dead}
    if unknown := [name for name in limits or {} if name not in columns.names]:
        raise StudyError(
            f"limits has {unknown[0]!r}, which is not searched: expected one of "
            f"{', '.join(map(repr, columns.names))}."
        )
    ranges = _ranges(found)
    several: list[Crowded] = []
    for column in ranges:
        name = columns.names[column]
        if name in dead:
            continue
        ends = low[:, column], high[:, column]
        hard = (limits or {}).get(name) or hard_limits(name, space.domains[name])
        for side in ("low", "high"):
            one = _crowded(found, ends, column, side, hard, level / (2 * len(ranges)), top)
            if one is not None:
                several.append(dataclasses.replace(one, p=min(1.0, one.p * 2 * len(ranges))))
    return tuple(sorted(several, key=lambda c: c.p))


def judged_by(history: History) -> int | None:
    """Return how many trials with a finite value say something of a hyperparameter's edges.

    Of the one of which most do: where they are fewer than ``FEWEST``, no edge is judged. None where the space
    has no range, so no edge.
    """
    import numpy as np

    found = tried(history)
    low, high = _free(history, found)
    finite = np.isfinite(found.losses)
    return max(
        (int(np.sum(finite & _usable(found, (low[:, c], high[:, c]), c))) for c in _ranges(found)),
        default=None,
    )


def _ranges(found: Tried) -> list[int]:
    """Return the columns of hyperparameters that have edges."""
    return [c for c, d in enumerate(found.columns.domains) if isinstance(d, Float | Int)]


def widened(space: Space, findings: Sequence[Crowded]) -> Space:
    """Return *space* with the crowded edges moved out; natural ends stay where they are."""
    for finding in findings:
        domain = space.domains[finding.name]
        if finding.to is not None and isinstance(domain, Float | Int):
            kind = float if isinstance(domain, Float) else int
            ends = cast(Any, {finding.side: kind(finding.to)})
            space = space.with_domain(finding.name, dataclasses.replace(domain, **ends))
    return space


def _free(history: History, found: Tried) -> tuple[Array, Array]:
    """Return between which places each trial could have had each hyperparameter, two (n, d).

    They are the same where its stage held it. What lies elsewhere was enqueued, from anywhere.
    """
    import numpy as np

    low, high = np.zeros(found.points.shape), np.ones(found.points.shape)
    if not history.stages:
        return low, high
    from luthier.search.staged.within import room_of  # that package imports this file

    rooms = [room_of(history.space, stage.begun, live=True) for stage in history.stages]
    for row, number in enumerate(found.numbers):
        stage = history.trials[number].stage
        if 0 <= stage < len(rooms):
            low[row], high[row] = rooms[stage].low, rooms[stage].high
    elsewhere = (found.points < low - _ROUNDING) | (found.points > high + _ROUNDING)
    return np.where(elsewhere, 0.0, low), np.where(elsewhere, 1.0, high)


def _crowded(
    found: Tried,
    ends: tuple[Array, Array],
    column: int,
    side: Side,
    hard: Limits,
    level: float,
    top: float,
) -> Crowded | None:
    """Return the finding at one edge, None when the test does not find it crowded.

    *ends* are those between which each trial could have had the hyperparameter, two (n,).
    """
    import numpy as np
    from scipy.special import bdtrc

    domain = found.columns.domains[column]
    active = _usable(found, ends, column)
    places, losses = found.points[active, column], found.losses[active]
    low, high = ends[0][active], ends[1][active]
    finite = np.isfinite(losses)
    count = max(_FEWEST, min(math.ceil(top * len(losses)), math.ceil(2 * math.sqrt(len(losses)))))
    if finite.sum() < FEWEST:
        return None
    best = np.argsort(losses, kind="stable")[: min(count, int(finite.sum()))]
    outward = places if side == "high" else 1 - places
    share = _edge_share(domain, side)
    near = int(np.sum(outward[best] >= 1 - share - 1e-9))
    half = 0.5 / (domain.cardinality or math.inf)  # whole numbers lie in the middle of their cells
    low, high = np.maximum(0.0, low[best] - half), np.minimum(1.0, high[best] + half)
    ranges = (low, high) if side == "high" else (1 - high, 1 - low)
    expected = float(np.sum(_part_at_edge(*ranges, share)))
    p = float(bdtrc(near - 1, len(best), expected / len(best))) if near and expected else 1.0
    if p > level:
        return None
    values = domain.cardinality or math.inf
    outer = finite & (outward >= 1 - max(share, 2 / values) - 1e-9)
    from scipy.stats import kendalltau  # it takes a second to load, and is rarely needed

    turns: Any = kendalltau(outward[outer], losses[outer], alternative="greater")
    if turns.pvalue < _TURNS:  # never for NaN: a single value says nothing
        return None
    return _finding(
        found.columns.names[column], domain, side, hard, near, len(best), share, expected, p
    )


def _usable(found: Tried, ends: tuple[Array, Array], column: int) -> Flags:
    """Return which trials say something of a hyperparameter's edges."""
    import numpy as np

    free = ~np.isnan(found.points[:, column]) & (ends[0] < ends[1])
    return free & ~_at_default(found, column)


def _at_default(found: Tried, column: int) -> Flags:
    """Return which trials only kept the default: nobody looked for it there.

    Later ones may have been led to an end of the range, where a default may lie, too.
    """
    import numpy as np

    domain = cast(Any, found.columns.domains[column])
    if (domain.cardinality or math.inf) <= _MANY:
        return np.zeros(len(found.numbers), dtype=bool)
    kept = np.abs(found.points[:, column] - domain.encode(domain.default)) <= _ROUNDING
    at_end = domain.default in (domain.low, domain.high)
    return kept & (found.numbers <= found.columns.dimension) if at_end else kept


def _part_at_edge(inner: Array, outer: Array, share: float) -> Array:
    """Return which part of each range, from *inner* to *outer* (n,) seen outwards, is at the edge."""
    import numpy as np

    return np.maximum(0.0, outer - np.maximum(inner, 1 - share)) / (outer - inner)


def _edge_share(domain: Domain, side: Side) -> float:
    """Return how much of the range is its edge: a tenth, or as many whole values, one at least."""
    values = domain.cardinality
    if values is None:
        return EDGE
    if isinstance(domain, Int) and domain.scale == "log":
        first = domain.encode(domain.low) if side == "low" else 1 - domain.encode(domain.high)
        value = domain.low if side == "low" else domain.high
        low, high = math.log(domain.low - 0.5), math.log(domain.high + 0.5)
        one = (math.log(value + 0.5) - math.log(value - 0.5)) / (high - low)
        return max(EDGE, one, first)
    return max(1, int(EDGE * values)) / values


def _finding(
    name: str,
    domain: Domain,
    side: Side,
    hard: Limits,
    near: int,
    best: int,
    share: float,
    expected: float,
    p: float,
) -> Crowded:
    given = cast(Any, domain)
    edge = given.low if side == "low" else given.high
    to = wider(domain, side, hard)
    seen = (
        f"{name}: {near} of the {best} best trials lie at the {'lower' if side == 'low' else 'upper'} "
        f"end of its range, {edge:g}, where {100 * share:.0f} % of the range would hold "
        f"{expected:.1f} of them"
    )
    then = "its natural end: leave it" if to is None else f"widen it to {to:g}"
    return Crowded(name, side, edge, near, best, share, p, to, f"{seen}; {then}")
