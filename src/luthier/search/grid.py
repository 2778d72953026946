"""Every combination of a few values: right for two or three hyperparameters with two or three values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.exhausting import Count, points_of, trainable, untried_count
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
        count = _frozen(self.count)
        points = points_of(space, count)
        new = trainable(space, count, history)
        if not history.infeasible and all(
            t.configuration == p for t, p in zip(history.trials, points, strict=False)
        ):
            return dict(points[number % len(points)])
        return dict(next(new, points[number % len(points)]))

    def size(self, space: Space) -> int | None:
        """Return how many points the grid has.

        Raises:
            SpaceError: a continuous hyperparameter has neither a step nor a count, or the constraints
                leave nothing of the grid.
        """
        return len(points_of(space, _frozen(self.count)))

    def left(self, history: History) -> int:
        """Return how many points of the grid nobody has tried."""
        return untried_count(history.space, _frozen(self.count), history)


def _frozen(count: dict[str, int] | int | None) -> Count:
    return tuple(sorted(count.items())) if isinstance(count, dict) else count
