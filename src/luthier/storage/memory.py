"""A store that lives as long as the process: for tests and throw-away studies."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from luthier.study.protocols import Conflict


class MemoryStore:
    """Logs in lists; safe between threads."""

    def __init__(self) -> None:
        self._logs: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies*; see the protocol."""
        with self._lock:
            log = self._logs.setdefault(study, [])
            if expect is not None and expect != len(log):
                raise Conflict
            log.extend(bodies)
            return len(log)

    def read(self, study: str, since: int = 0) -> list[tuple[int, bytes]]:
        """Return the events after *since*."""
        with self._lock:
            return list(enumerate(self._logs.get(study, [])[since:], since + 1))

    def names(self) -> list[str]:
        """Return the studies' names."""
        with self._lock:
            return list(self._logs)

    def close(self) -> None:
        """Do nothing: the logs stay for whoever holds the store."""
