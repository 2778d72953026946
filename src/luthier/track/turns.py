"""Whose turn it is to write: one process of a machine writes a study to a tracker, the others look on.

Several processes that train one study each have the same trackers, and each would write all of it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

from luthier.errors import StorageError
from luthier.storage.locks import FileLock, lockable
from luthier.study.history import History


class AnotherWrites(StorageError):
    """Another process of this machine writes the study to the same place."""


class Turn:
    """The turn to write one study after another to a place; the kernel ends it when the process dies.

    The lock is a file in this machine's temporary folder: not every shared folder can be locked.

    Args:
        place: kind and address of what is written to, the same in every process.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._study = ""
        self._lock: FileLock | None = None

    def begin(self, history: History) -> bool:
        """Return whether the turn is new: what was known of the place, or of another study, is old then.

        Raises:
            AnotherWrites: it is another process's.
        """
        study = identity(history)
        if study == self._study:
            return False
        self.end()
        lock = FileLock(_file(self._place, study))
        if not _locked(lock):
            lock.close()
            raise AnotherWrites(
                f"Another process of this machine is writing study {history.header.name!r} to "
                f"{self._place}, and will have written all of it: leave it to that, or end it first."
            )
        self._lock, self._study = lock, study
        return True

    def end(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            self._lock.close()
        self._lock, self._study = None, ""


def identity(history: History) -> str:
    """Return what tells a study from every other, also of the same name: that and when it was made.

    It holds no quotation marks.
    """
    return f"{quote(history.header.name)} {history.header.time!r}"


def _file(place: str, study: str) -> Path:
    whose = f"{os.getuid() if hasattr(os, 'getuid') else ''}\0{place}\0{study}"
    digest = hashlib.blake2b(whose.encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"luthier-tracking-{digest}.lock"


def _locked(lock: FileLock) -> bool:
    if not lockable():
        return True
    try:
        return lock.acquire(0.0)
    except OSError:  # no room for a lock: better written twice than not at all
        return True


__all__ = ["AnotherWrites", "Turn", "identity"]
