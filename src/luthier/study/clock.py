"""Where a study reads the time: the machine's clock, or a simulation's."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Both ways of reading the time, in seconds."""

    def time(self) -> float:
        """Return seconds since 1970, UTC: what events carry."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that nobody sets: what deadlines are measured on."""
        ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds on a clock that nobody sets."""
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()
