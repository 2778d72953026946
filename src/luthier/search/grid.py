"""Every combination of a few values: right for two or three hyperparameters with two or three values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from luthier.errors import SpaceError
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.records import TrialRecord

Count = tuple[tuple[str, int], ...] | int | None  # as ``Grid.count``, to be a key


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
        count = _frozen(self.count)
        points = _points(space, count)
        if all(t.configuration == p for t, p in zip(history.trials, points, strict=False)):
            return dict(points[number % len(points)])
        return dict(next(_untried(space, count, history), points[number % len(points)]))

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
        return sum(1 for _ in _untried(history.space, _frozen(self.count), history))


def _untried(space: Space, count: Count, history: History) -> Iterator[dict[str, Any]]:
    tried: dict[tuple[str, ...], set[str]] = {}
    for names, words in followed(history, "grid", _Tried).of.values():
        tried.setdefault(names, set()).add(words)
    shapes = [(_written(space, count, names), those) for names, those in tried.items()]
    for at, point in enumerate(_points(space, count)):
        if not any(words[at] in those for words, those in shapes):
            yield point


@dataclass(eq=False)
class _Tried:
    """The configurations of trials in words, with the names that they have."""

    of: dict[int, tuple[tuple[str, ...], str]] = field(
        default_factory=dict[int, tuple[tuple[str, ...], str]]
    )

    def take(self, trial: TrialRecord) -> None:
        if trial.configuration:  # else it has not asked for anything
            names = tuple(sorted(trial.configuration))
            self.of[trial.number] = names, _words(trial.configuration, names)


@lru_cache(maxsize=32)
def _written(space: Space, count: Count, names: tuple[str, ...]) -> list[str | None]:
    """Return each point's values of *names* in words; None for one that has not all of them."""
    wanted = set(names)
    return [
        _words(point, names) if point.keys() >= wanted else None for point in _points(space, count)
    ]


def _words(configuration: dict[str, Any], names: tuple[str, ...]) -> str:
    return json.dumps([configuration[name] for name in names])


def _frozen(count: dict[str, int] | int | None) -> Count:
    return tuple(sorted(count.items())) if isinstance(count, dict) else count


@lru_cache(maxsize=8)
def _points(space: Space, count: Count) -> tuple[dict[str, Any], ...]:
    points = tuple(space.grid(dict(count) if isinstance(count, tuple) else count))
    if not points:
        raise SpaceError(
            "No point of the grid satisfies the constraints "
            f"({'; '.join(map(str, space.constraints))}). Loosen them, or take more values."
        )
    return points
