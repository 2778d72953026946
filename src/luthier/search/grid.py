"""Every combination of a few values: right for two or three hyperparameters with two or three values."""

from __future__ import annotations

import json
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
        if any(t.configuration != p for t, p in zip(history.trials, points, strict=False)):
            tried = {json.dumps(trial.configuration) for trial in history.trials}
            untried = (point for point in points if json.dumps(point) not in tried)
            return dict(next(untried, points[number % len(points)]))
        return dict(points[number % len(points)])

    def size(self, space: Space) -> int | None:
        """Return how many points the grid has.

        Raises:
            SpaceError: a continuous hyperparameter has neither a step nor a count, or the constraints
                leave nothing of the grid.
        """
        return len(_points(space, _frozen(self.count)))


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
