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
    tried: dict[tuple[str, ...], set[str]] = {}
    for trial in history.trials:
        names = tuple(sorted(trial.configuration))
        tried.setdefault(names, set()).add(_words(trial.configuration, names))
    for point in points:
        if not any(
            point.keys() >= set(names) and _words(point, names) in those
            for names, those in tried.items()
        ):
            yield point


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
