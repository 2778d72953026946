"""Every combination of a few values: right for two or three hyperparameters with two or three values."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from luthier.errors import SpaceError
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History


@dataclass(frozen=True)
class Grid:
    """Trial n takes point n of the grid, in the order in which the space lists its hyperparameters.

    Attributes:
        count: how many values a continuous hyperparameter takes: one number for all, or one by name.
            A ``Float`` without a step needs it; the space refuses it otherwise.
    """

    count: dict[str, int] | int | None = field(default=None)

    proposes_alone: ClassVar[bool] = True

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return point *number* of the grid; after trials asked for by hand, the first untried one.

        Raises:
            SpaceError: the constraints leave nothing of the grid.
        """
        points = _points(space, _frozen(self.count))
        if all(t.configuration == p for t, p in zip(history.trials, points, strict=False)):
            return dict(points[number % len(points)])
        return dict(next(_untried(points, history), points[number % len(points)]))

    def size(self, space: Space) -> int | None:
        """Return how many points the grid has.

        Raises:
            SpaceError: a continuous hyperparameter has neither a step nor a count, or the constraints
                leave nothing of the grid.
        """
        return len(_points(space, _frozen(self.count)))

    def left(self, history: History) -> int:
        """Return how many points of the grid nobody has tried.

        Where the code says what it needs, a trial that asked for some of the hyperparameters has tried all
        points that agree with it in those.
        """
        return sum(1 for _ in _untried(_points(history.space, _frozen(self.count)), history))


def _untried(points: tuple[dict[str, Any], ...], history: History) -> Iterator[dict[str, Any]]:
    tried = _kept.setdefault(history, _Tried()).brought_up_to_date(history)
    shapes = [(_written(points, names), those) for names, those in tried.items()]
    for at, point in enumerate(points):
        if not any(words[at] in those for words, those in shapes):
            yield point


@dataclass(eq=False)
class _Tried:
    """The configurations of a history's trials in words, by the names that they have."""

    touched: int = 0
    of: dict[int, tuple[tuple[str, ...], str]] = field(
        default_factory=dict[int, tuple[tuple[str, ...], str]]
    )

    def brought_up_to_date(self, history: History) -> dict[tuple[str, ...], set[str]]:
        for number in dict.fromkeys(history.touched[self.touched :]):
            configuration = history.trials[number].configuration
            if configuration:  # else it ended before it asked for anything
                names = tuple(sorted(configuration))
                self.of[number] = names, _words(configuration, names)
        self.touched = len(history.touched)
        tried: dict[tuple[str, ...], set[str]] = {}
        for names, words in self.of.values():
            tried.setdefault(names, set()).add(words)
        return tried


_kept: weakref.WeakKeyDictionary[History, _Tried] = weakref.WeakKeyDictionary()


def _written(points: tuple[dict[str, Any], ...], names: tuple[str, ...]) -> list[str | None]:
    """Return each point's values of *names* in words; None for one that has not all of them."""
    known = _words_of.get((id(points), names))
    if known is None or known[0] is not points:
        if len(_words_of) > _MOST_WORDS:
            _words_of.clear()
        wanted = set(names)
        words = [_words(p, names) if p.keys() >= wanted else None for p in points]
        known = _words_of[id(points), names] = points, words
    return known[1]


_MOST_WORDS = 32
_words_of: dict[
    tuple[int, tuple[str, ...]], tuple[tuple[dict[str, Any], ...], list[str | None]]
] = {}


def _words(configuration: dict[str, Any], names: tuple[str, ...]) -> str:
    return json.dumps([configuration[name] for name in names])


def _frozen(count: dict[str, int] | int | None) -> tuple[tuple[str, int], ...] | int | None:
    return tuple(sorted(count.items())) if isinstance(count, dict) else count


@lru_cache(maxsize=8)
def _points(
    space: Space, count: tuple[tuple[str, int], ...] | int | None
) -> tuple[dict[str, Any], ...]:
    points = tuple(space.grid(dict(count) if isinstance(count, tuple) else count))
    if not points:
        raise SpaceError(
            "No point of the grid satisfies the constraints "
            f"({'; '.join(map(str, space.constraints))}). Loosen them, or take more values."
        )
    return points
