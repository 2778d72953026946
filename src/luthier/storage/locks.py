"""Locks between the processes of one machine that die with their holder."""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path

try:
    import fcntl
except (
    ImportError
):  # Windows: no advisory locks; SQLite's own and conditional appends keep us right
    fcntl = None

_all: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """A lock on a file of its own; the kernel gives it back when its process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        _all.add(self)

    def acquire(self, seconds: float | None = None) -> bool:
        """Return True once the lock is ours, False when it was not for *seconds*.

        Without *seconds* the kernel wakes us, which is much cheaper where many processes want the
        lock. It is for locks that are held for moments: whoever is stopped (Ctrl-Z) while it holds
        one stops the others until it goes on or is killed. A limited time cannot be waited in the
        kernel; it is a series of short pauses.
        """
        if fcntl is None:
            return False
        if self._handle is None:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if seconds is None:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            return True
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
        """Close the file, which gives the lock back too."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def _let_go_in_child() -> None:
    """Close what a fork inherited: it shares its locks with the parent and would outlive it with them."""
    for lock in list(_all):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
