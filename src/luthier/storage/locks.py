"""Locks between the processes of one machine that die with their holder."""

from __future__ import annotations

import os
import time
from pathlib import Path

try:
    import fcntl
except (
    ImportError
):  # Windows: no advisory locks; SQLite's own and conditional appends keep us right
    fcntl = None


class FileLock:
    """A lock on a file of its own; the kernel gives it back when its process dies.

    It cannot be waited for in the kernel for a limited time, and a stopped process must not stop the
    others, so waiting is a series of short pauses.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._owner = 0

    def acquire(self, seconds: float) -> bool:
        """Return True once the lock is ours, False when it was not for *seconds*."""
        if fcntl is None:
            return False
        if self._handle is None or self._owner != os.getpid():
            # A descriptor inherited through a fork shares its lock with the parent.
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._owner = os.getpid()
        until, pause = None, 0.0001
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                now = time.monotonic()
                until = now + seconds if until is None else until
                if now >= until:
                    return False
                time.sleep(pause)
                pause = min(pause * 1.5, 0.002)

    def release(self) -> None:
        """Give the lock back."""
        if fcntl is not None and self._handle is not None:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None and self._owner == os.getpid():
            os.close(self._handle)
        self._handle = None
