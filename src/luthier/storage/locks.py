"""Locks between the processes of one machine that die with their holder."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from luthier.errors import StorageError

try:
    import fcntl
except (
    ImportError
):  # Windows: no advisory locks; SQLite's own and conditional appends keep us right
    fcntl = None

_PATIENCE = 0.1  # seconds of trying; a holder that takes longer is asleep
_PAUSES = (0.00025, 0.008)  # seconds between two tries: the first, and the longest
_all: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """A lock on a file of its own; the kernel gives it back when its process dies.

    Args:
        path: the file, which is made when it is missing.
        like: a file whose users share the lock: a new file gets its rights.
    """

    def __init__(self, path: Path, like: Path | None = None) -> None:
        self._path = path
        self._like = like
        self._handle: int | None = None
        self._next: int | None = None
        _all.add(self)

    def acquire(
        self, seconds: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> bool:
        """Return True once the lock is ours, False when it was not for *seconds*.

        Without *seconds* it is for locks that are held for moments: whoever is stopped (Ctrl-Z) while
        it holds one stops the others until it goes on or is killed. One process at a time then tries
        again after pauses that double, so that whoever has the lock often takes it several times in a
        row, which costs less than changing hands; all others sleep until the kernel makes them that
        one. A limited time cannot be waited in the kernel; it is a series of short pauses.

        Args:
            seconds: to wait at most; None to wait until it is ours.
            meanwhile: short work that whoever is next does between two tries instead of nothing.

        Raises:
            StorageError: the file cannot be opened.
        """
        if fcntl is None:
            return False
        if self._handle is None:
            self._handle = _opened(self._path, self._like)
        if taken(self._handle):
            return True
        if seconds is None:
            return self._acquire_as_the_next(self._handle, meanwhile)
        until, pause = time.monotonic() + seconds, 0.0001
        while time.monotonic() < until:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.002)
            if taken(self._handle):
                return True
        return False

    def _acquire_as_the_next(self, handle: int, meanwhile: Callable[[], object] | None) -> bool:
        assert fcntl is not None
        if self._next is None:
            self._next = _opened(Path(f"{self._path}-next"), self._like)
        fcntl.flock(self._next, fcntl.LOCK_EX)
        try:
            until, pause = time.monotonic() + _PATIENCE, _PAUSES[0]
            while time.monotonic() < until:
                if meanwhile is not None:
                    meanwhile()
                if taken(handle):
                    return True
                time.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])
            fcntl.flock(handle, fcntl.LOCK_EX)
            return True
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)

    def release(self) -> None:
        """Give the lock back."""
        if fcntl is not None and self._handle is not None:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which gives the lock back too."""
        for handle in (self._handle, self._next):
            if handle is not None:
                os.close(handle)
        self._handle = self._next = None


def _opened(path: Path, like: Path | None) -> int:
    try:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except PermissionError:  # another user's file can be locked all the same
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror} (check the permissions of the file and of its folder)."
        ) from error
    share_as(path, like)
    return handle


def share_as(path: Path, like: Path | None) -> None:
    """Let the users of *like* use *path* too, as SQLite does with the files that it makes beside a database."""
    if like is None:
        return
    with contextlib.suppress(OSError):  # not ours: whoever made it saw to that
        theirs, mine = os.stat(like), os.stat(path)
        rights = stat.S_IMODE(theirs.st_mode) & 0o666
        if stat.S_ISDIR(mine.st_mode):
            rights |= (rights & 0o444) >> 2  # whoever may read a folder may enter it
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            os.chown(path, theirs.st_uid, theirs.st_gid)
        mode = stat.S_IMODE(mine.st_mode)
        if mode & 0o777 != rights:
            os.chmod(path, mode & ~0o777 | rights)


def lockable() -> bool:
    """Return True where files can be locked; elsewhere nothing of this file locks anything."""
    return fcntl is not None


def taken(handle: int) -> bool:
    """Lock an open file for this process; return False when another one holds it."""
    assert fcntl is not None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _let_go_in_child() -> None:
    """Close what a fork inherited: it shares its locks with the parent and would outlive it with them."""
    for lock in list(_all):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
