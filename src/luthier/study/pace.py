"""How fast one process speaks to the log: whether a report may wait for the next append."""

from __future__ import annotations

from collections import deque

_BUSY = (16, 0.2)  # so many things said in so many seconds
_FRESH = 0.05  # seconds after an append in which what is known of the log is fresh enough


class Pace:
    """Counts what one process says and appends; times are in seconds on one monotonic clock.

    Attributes:
        waits: something was said that the log may not hold yet, and that was not read since.
    """

    def __init__(self) -> None:
        self._appended = -_FRESH
        self._said: deque[float] = deque(maxlen=_BUSY[0])
        self._deferred = 0  # events, since the last append
        self.waits = False

    def hurried(self, now: float) -> bool:
        """Take note that something is said at *now*; True where it may wait for the next append.

        Only where much is said, else nothing is gained; and for a moment after an append: then what is
        known of a trial's lease, and of whether people or the time have ended it, is fresh enough.
        """
        said = self._said
        said.append(now)
        busy = len(said) == _BUSY[0] and now - said[0] <= _BUSY[1]
        return busy and self.fresh(now)

    def fresh(self, now: float) -> bool:
        """Return whether what was known of the log at the last append is fresh enough at *now*."""
        return now - self._appended <= _FRESH

    def deferred(self, events: int) -> None:
        """Take note that *events* wait."""
        self._deferred += events
        self.waits = True

    def appended(self, now: float, events: int) -> int:
        """Take note of an append and return how many events it and what had waited come to."""
        self._appended, self.waits = now, False
        events, self._deferred = events + self._deferred, 0
        return events
