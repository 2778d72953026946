"""What was heard of a script and not yet read: a queue that tells whether another report is in it."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from luthier.train.script.sources import Reading


class Readings:
    """Readings in the order in which they came, from several threads; None after the last.

    Args:
        metrics: the metrics of which a report has at least one.
    """

    def __init__(self, metrics: tuple[str, ...]) -> None:
        self._metrics = metrics
        self._queue: SimpleQueue[Reading | None] = SimpleQueue()
        self._reports = 0
        self._lock = threading.Lock()

    def put(self, reading: Reading | None) -> None:
        """Add one."""
        self._count(reading, 1)
        self._queue.put(reading)

    def get(self) -> Reading | None:
        """Return the next one, and wait for it."""
        reading = self._queue.get()
        self._count(reading, -1)
        return reading

    def empty(self) -> bool:
        """Return whether there is nothing to read."""
        return self._queue.empty()

    @property
    def more(self) -> bool:
        """Return whether a report is there that was not read: the script has not waited."""
        return self._reports > 0

    def _count(self, reading: Reading | None, by: int) -> None:
        if reading is not None and any(name in reading.metrics for name in self._metrics):
            with self._lock:
                self._reports += by
