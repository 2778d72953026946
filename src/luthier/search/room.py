"""A part of a space: the same columns with less room in them, to be looked at only there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luthier.search.columns import Columns
from luthier.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]


_FEW = 3  # values


class Room(Columns):
    """The columns of a space from *low* to *high* (d,), the same where one is fixed."""

    def __init__(self, space: Space, low: Array, high: Array) -> None:
        super().__init__(space)
        self.low, self.high = low, high

    @property
    def bounds(self) -> Array:
        """Return the lowest and the highest place in each column (d, 2)."""
        import numpy as np

        return np.stack([self.low, self.high], axis=1)

    def discrete(self, most: int) -> Flags:
        """Return which columns are choices, have at most *most* values, or are fixed."""
        return super().discrete(most) | (self.low >= self.high)

    def rounded(self, points: Array, *, active_only: bool = True) -> Array:
        """Return the points (n, d) moved into the room and to the nearest values there are."""
        import numpy as np

        return super().rounded(np.clip(points, self.low, self.high), active_only=active_only)

    def drawn(self, uniforms: Array, *, active_only: bool = True) -> Array:
        """Return the points (n, d) at these shares of the way through the room, rounded.

        Beliefs do not move them; they count in the acquisition.
        """
        places = self.low + uniforms * (self.high - self.low)
        return self.rounded(places, active_only=active_only)


def round_place(columns: Columns, place: Array, width: float) -> Room:
    """Return the room of *width*, a share of each range on its scale, with *place* (d,) in the middle.

    Choices, what has only a few values, and what is not active at *place* keep all of their room.
    """
    import numpy as np

    few = [(domain.cardinality or _FEW + 1) <= _FEW for domain in columns.domains]
    free = (np.array(columns.options) > 0) | np.array(few, dtype=bool) | np.isnan(place)
    low = np.where(free, 0.0, np.clip(place - width / 2, 0.0, 1.0))
    high = np.where(free, 1.0, np.clip(place + width / 2, 0.0, 1.0))
    return Room(columns.space, low, high)
