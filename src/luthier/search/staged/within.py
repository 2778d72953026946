"""Where a stage looks: what it varies, in its ranges, everything else at fixed values.

The surrogate knows all trials of the study in all hyperparameters; a stage only restricts where the next
one may lie. So what an early stage saw of the learning rate still counts when a later one moves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError
from luthier.search.columns import Columns
from luthier.search.room import Room
from luthier.search.staged.starting import clipped
from luthier.space import Bool, Choice, Space
from luthier.space.conditions import holds
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.records import TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Ranges = Mapping[str, tuple[float, float]]

_SEVERAL = 3  # trials that diverged: no accident


def within(space: Space, around: Mapping[str, Any], varied: Iterable[str], ranges: Ranges) -> Room:
    """Return the room in which *varied* are free, each in its range of *ranges* where it has one.

    All others are at their values in *around*, or at their defaults where they become active.
    """

    columns, free = Columns(space), set(varied)
    middle = centre(space, around)
    low, high = middle.copy(), middle.copy()
    for column, (name, domain) in enumerate(zip(columns.names, columns.domains, strict=True)):
        if name in free:
            low[column], high[column] = 0.0, 1.0
            ends = clipped(domain, *ranges[name]) if name in ranges else None
            if ends is not None:
                low[column], high[column] = map(domain.encode, ends)
    return Room(space, low, high)


def centre(space: Space, around: Mapping[str, Any]) -> Array:
    """Return the place (d,) of *around*, of the defaults where it is silent or the space has changed."""
    import numpy as np

    found = np.empty(space.dimension)
    for column, name in enumerate(space.searched):
        domain: Any = space.domains[name]
        value = around.get(name, domain.default)
        found[column] = domain.encode(value if domain.contains(value) else domain.default)
    return found


def narrowed(space: Space, names: Iterable[str], around: Mapping[str, Any], width: float) -> Ranges:
    """Return ranges of *width*, as a share of the whole one on its scale, with *around* in the middle.

    At the end of a domain the range is moved inwards; choices have none.
    """
    found: dict[str, tuple[float, float]] = {}
    for name in names:
        domain: Any = space.domains[name]
        if isinstance(domain, Choice | Bool) or name not in around or width >= 1:
            continue
        if not domain.contains(around[name]):
            continue
        low = min(max(0.0, domain.encode(around[name]) - width / 2), 1.0 - width)
        ends = (domain.decode(low), domain.decode(low + width))
        if ends[0] != ends[1]:
            found[name] = ends
    return found


def trainable(history: History, space: Space, ranges: Ranges) -> Ranges:
    """Return *ranges* without ends in which several trials diverged and none did not."""
    found = dict(ranges)
    for name, (low, high) in ranges.items():
        domain: Any = space.domains[name]
        sound: list[float] = []
        diverged: list[float] = []
        for trial in history.trials:
            value = trial.configuration.get(name)
            if value is None or not domain.contains(value):
                continue
            if trial.state is TrialState.DIVERGED:
                diverged.append(domain.encode(value))
            elif trial.steps:
                sound.append(domain.encode(value))
        if not sound:
            continue
        ends = [domain.encode(low), domain.encode(high)]
        above = [place for place in diverged if place > max(sound)]
        below = [place for place in diverged if place < min(sound)]
        if len(above) >= _SEVERAL:
            ends[1] = max(ends[0], min(ends[1], min(above)))
        if len(below) >= _SEVERAL:
            ends[0] = min(ends[1], max(ends[0], max(below)))
        cut = domain.decode(ends[0]), domain.decode(ends[1])
        if cut[0] < cut[1]:
            found[name] = cut
    return found


def opened(space: Space, names: Iterable[str], around: Mapping[str, Any]) -> list[str]:
    """Return *names* with what other values of them would make active, in the space's order."""
    free = set(names)
    for name, domain in space.domains.items():
        parents = {parent for parent, _ in domain.condition}
        if parents & free and not holds(domain.condition, around):
            free.add(name)
    return [name for name in space.searched if name in free]


def active(space: Space, names: Iterable[str], around: Mapping[str, Any]) -> list[str]:
    """Return those of *names* that exist where *around* is."""
    known = {**around}
    return [name for name in names if name in space.domains and space.is_active(name, known)]


def room_of(space: Space, begun: ev.StageBegun, *, live: bool) -> Room:
    """Return where a stage's trials lie; what is *live* is at its value in ``around`` when it is not."""
    varied = [*begun.hyperparameters, *(begun.live if live else [])]
    return within(space, begun.around, opened(space, varied, begun.around), begun.narrowed)


def fits(space: Space, configuration: Mapping[str, Any]) -> bool:
    """Return True when *configuration* is a whole one that *space* holds."""
    try:
        space.check(configuration)
    except SpaceError:
        return False
    return True


def as_fixed(space: Space, begun: ev.StageBegun, found: dict[str, Any]) -> dict[str, Any]:
    """Return *found* with what the stage does not vary to the last digit as in ``around``."""
    free = set(opened(space, [*begun.hyperparameters, *begun.live], begun.around))
    fixed = {
        name: begun.around[name]
        for name in found
        if name not in free and name in begun.around
        if space.domains[name].contains(begun.around[name])
    }
    return {**found, **fixed}
