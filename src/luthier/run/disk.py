"""The local disk: what it refuses, when it really has written, and a temporary folder a process."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import IO

from luthier.errors import CheckpointError

try:
    import fcntl
except ImportError:  # Windows: what killed processes leave in the temporary folder stays there
    fcntl = None

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_ALMOST_NOTHING = 1 << 20  # bytes free on a disk that a failed write has filled
_PREFIX = "luthier-scratch-"
_scratch: dict[int, tuple[Path, IO[bytes]]] = {}  # by process, as a fork copies this one


def is_full(error: BaseException) -> bool:
    """Return True when *error* says that a disk or a quota is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def refused_by_disk(error: BaseException, folder: Path) -> str:
    """Return in words why the disk did not take what was written to *folder*; "" for other errors.

    Frameworks that write by themselves report a full disk as a RuntimeError of their own, so after any
    error a disk without space counts as the reason.
    """
    if not isinstance(error, Exception) or isinstance(error, CheckpointError):
        return ""
    nothing_left = folder.exists() and shutil.disk_usage(folder).free < _ALMOST_NOTHING
    if is_full(error) or nothing_left:
        return f"the disk is full ({error}). Free space and run again."
    return f"{error}." if isinstance(error, OSError) else ""


def flush(path: Path) -> None:
    """Wait until the file, or the folder's list of entries, is on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot flush a folder; NTFS writes renames to its journal
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Wait until all files and folders under *folder* are on the disk, the inner ones first."""
    for inner, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(inner, name))
        flush(Path(inner))


def fresh_folder(name: str) -> Path:
    """Return a new, empty folder in this process's temporary folder, which goes when it exits.

    Raises:
        CheckpointError: there is no room for temporary files.
    """
    folder = _own_scratch() / f"{name}-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        raise CheckpointError(
            f"Cannot make the temporary folder {folder}: {error}. Set TMPDIR to a disk with space."
        ) from error
    return folder


def _own_scratch() -> Path:
    """Return this process's temporary folder, made at the first call and locked while it lives."""
    pid = os.getpid()
    if pid not in _scratch:
        sweep()
        try:
            made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}{pid}-"))
            lock = (made / "lock").open("wb")
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            folder = made.with_name(made.name[1:])
            os.replace(made, folder)  # only now can a sweep see it: it is locked
        except OSError as error:
            raise CheckpointError(
                f"Cannot make a temporary folder under {tempfile.gettempdir()}: {error}. "
                "Set TMPDIR to a disk with space."
            ) from error
        _scratch[pid] = (folder, lock)
        atexit.register(remove_scratch)
    return _scratch[pid][0]


def remove_scratch() -> None:
    """Delete this process's temporary folder; for a process that ends without its exit handlers."""
    if own := _scratch.pop(os.getpid(), None):
        shutil.rmtree(own[0], ignore_errors=True)


def sweep() -> None:
    """Delete the temporary folders of this user's processes that were killed: nobody locks them."""
    if fcntl is None:
        return
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (left / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
