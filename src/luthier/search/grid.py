"""Every combination of a few values: right for two or three hyperparameters with two or three values."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

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

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return point *number* of the grid, in which configurations asked for by hand have no part."""
        points = _points(space, _frozen(self.count))
        return dict(points[number % len(points)])

    def size(self, space: Space) -> int | None:
        """Return how many points the grid has.

        Raises:
            SpaceError: a continuous hyperparameter has neither a step nor a count.
        """
        return len(_points(space, _frozen(self.count)))


def _frozen(count: dict[str, int] | int | None) -> tuple[tuple[str, int], ...] | int | None:
    return tuple(sorted(count.items())) if isinstance(count, dict) else count


@lru_cache(maxsize=8)
def _points(
    space: Space, count: tuple[tuple[str, int], ...] | int | None
) -> tuple[dict[str, Any], ...]:
    return tuple(space.grid(dict(count) if isinstance(count, tuple) else count))
