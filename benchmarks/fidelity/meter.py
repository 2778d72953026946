"""What a run found and spent, counted epoch by epoch as all its workers train them."""

from __future__ import annotations

import math
import time
from typing import Any


class OutOfTime(RuntimeError):
    """A run took longer than it may."""


class Meter:
    """Counts epochs, and keeps each loss that was lower than all before, with their number.

    Args:
        limit: seconds on the real clock after which ``trained`` raises ``OutOfTime``.
    """

    def __init__(self, limit: float) -> None:
        self.epochs, self.diverged = 0, 0
        self.found: list[tuple[int, float]] = []
        self.began, self.limit = time.monotonic(), limit

    def trained(self, loss: float) -> None:
        """Count an epoch that ended with *loss*, NaN when it diverged.

        Raises:
            OutOfTime: the limit is over.
        """
        self.epochs += 1
        self.diverged += math.isnan(loss)
        if loss < (self.found[-1][1] if self.found else math.inf):
            self.found.append((self.epochs, loss))
        if time.monotonic() - self.began > self.limit:
            raise OutOfTime(f"stopped after {self.limit:g} s")

    def record(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "diverged": self.diverged,
            "found": self.found,
            "wall": time.monotonic() - self.began,
        }
