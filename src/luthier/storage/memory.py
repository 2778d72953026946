"""A store that lives as long as the process: for tests and throw-away studies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

from luthier.study.protocols import PAGE, Conflict


class MemoryStore:
    """Logs in lists; safe between threads."""

    def __init__(self) -> None:
        self._logs: dict[str, list[bytes]] = {}
        self._snapshots: dict[str, tuple[int, bytes]] = {}
        self._lock = threading.Condition()

    @property
    def address(self) -> str:
        """Return "memory": no other process can open it."""
        return "memory"

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies*; see the protocol."""
        with self._lock:
            log = self._logs.setdefault(study, [])
            if expect is not None and expect != len(log):
                raise Conflict
            log.extend(bodies)
            self._lock.notify_all()
            return len(log)

    def defer(self, study: str, bodies: Sequence[bytes], since: int) -> bool:
        """Return False: an append costs no more."""
        return False

    def recover(self, gone: Collection[int] = ()) -> None:
        """Do nothing: nothing is deferred."""

    def read(self, study: str, since: int = 0, limit: int = PAGE) -> list[tuple[int, bytes]]:
        """Return the events after *since*, at most *limit*."""
        with self._lock:
            return list(enumerate(self._logs.get(study, [])[since : since + limit], since + 1))

    def append_and_read(
        self, study: str, bodies: Sequence[bytes], since: int
    ) -> tuple[int, list[tuple[int, bytes]]]:
        """Append, and return what came before; see the protocol."""
        with self._lock:
            return self.append(study, bodies), self.read(study, since)[: -len(bodies)]

    def names(self) -> list[str]:
        """Return the studies' names."""
        with self._lock:
            return list(self._logs)

    def wait(self, study: str, since: int, seconds: float) -> bool:
        """Block until there are events after *since*, at most *seconds*."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._logs.get(study, ())) > since, seconds)

    def deciding(
        self, study: str, *, briefly: bool = False, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[object]:
        """Do nothing: threads of one process rarely decide at the same moment."""
        return nullcontext()

    def snapshot(self, study: str) -> tuple[int, bytes] | None:
        """Return the newest snapshot."""
        return self._snapshots.get(study)

    def keep_snapshot(self, study: str, number: int, body: bytes) -> None:
        """Keep a snapshot in place of an older one."""
        if number > self._snapshots.get(study, (0, b""))[0]:
            self._snapshots[study] = (number, body)

    def close(self) -> None:
        """Do nothing: the logs stay for whoever holds the store."""
