"""Events that one process has acknowledged and not yet numbered: a mapped file beside the database.

A report on which nothing depends at once need not be a transaction of its own. It is copied into memory
that belongs to a file, which takes a microsecond and survives the death of the process; the process's
next append takes it along. What a killed process left behind, whoever comes next appends for it.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import re
import secrets
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Collection, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from luthier.storage.locks import lockable, share_as, taken

SECONDS = 0.05  # that an event waits at most while its process runs
_KERNEL_SECONDS = 1.0  # that the locks of a process may outlive it, and more
_BYTES = 1 << 16
_RANGE = struct.Struct("Q")  # end << 32 | begin of the records that count, in one word
_HEAD = struct.Struct("=II")  # of a record: its length and its checksum
_HIDDEN = "."  # begins the name of a file that its process has not locked yet
_NAME = re.compile(r"(\d+)-[0-9a-f]{8}")  # a process, and chance


class Waiting(NamedTuple):
    """An event that waits: its *study*, and the log's last number that its writer knew."""

    study: str
    since: int
    body: bytes


_decode = msgspec.msgpack.Decoder(Waiting).decode
_encode = msgspec.msgpack.Encoder().encode


class Outbox:
    """This process's outbox for the database at *path*; see ``outbox_of``.

    Attributes:
        holds: something waits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holds = False
        self._since = 0.0  # on the monotonic clock: something has waited from then on
        self._begin = self._end = _RANGE.size
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._file: Path | None = None
        self._handle = -1
        self._memory: mmap.mmap | None = None
        self._flush: Callable[[], Callable[[], object] | None] = lambda: None
        self._otherwise: Callable[[Path], object] = lambda path: None
        self._flusher: threading.Thread | None = None

    def put(
        self,
        records: Sequence[Waiting],
        flush: Callable[[], object],
        otherwise: Callable[[Path], object],
    ) -> bool:
        """Let *records* wait, all or none; return False where there is no room for them.

        Args:
            records: the events.
            flush: a bound method that appends what waits; called soon, from another thread.
            otherwise: does the same for the database at a path, should the method's object be gone.
        """
        found = b"".join(map(_record, records))
        with self._lock:
            memory = self._memory or self._opened()
            end = self._end + len(found)
            if memory is None or end > _BYTES:
                return False
            memory[self._end : end] = found
            first = not self.holds
            self._mark(memory, self._begin, end)
        if not first:
            return True
        self._since = time.monotonic()
        if self._flush() is None:
            self._flush = weakref.WeakMethod(flush)  # type: ignore[arg-type]
            self._otherwise = otherwise
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._keep_flushing, daemon=True)
            self._flusher.start()
        self._filled.set()
        return True

    def waiting(self) -> tuple[list[Waiting], int]:
        """Return what waits, and what to give to ``drop`` once it has been appended."""
        with self._lock:
            if self._memory is None:
                return [], self._end
            return list(_records(self._memory[: self._end])), self._end

    def drop(self, end: int) -> None:
        """Forget what ``waiting`` returned; what came since goes on waiting."""
        with self._lock:
            if self._memory is not None:
                begin = end if end < self._end else _RANGE.size
                self._mark(self._memory, begin, self._end if end < self._end else begin)

    def _mark(self, memory: mmap.mmap, begin: int, end: int) -> None:
        self._begin, self._end, self.holds = begin, end, end > begin
        _RANGE.pack_into(memory, 0, end << 32 | begin)

    def close(self) -> None:
        """Delete the file, unless something waits in it."""
        with self._lock:
            if self._memory is None or self._file is None or self.holds:
                return
            self._file.unlink(missing_ok=True)
            self._memory.close()
            os.close(self._handle)
            self._memory, self._handle, self._file = None, -1, None

    def has(self, names: Sequence[str]) -> bool:
        """Return True when its file is among *names*."""
        return self._file is not None and self._file.name in names

    def let_go_in_child(self) -> None:
        """Leave the file to the parent, whose it is."""
        if self._handle >= 0:
            os.close(self._handle)

    def flush(self) -> None:
        """Append what waits."""
        if self.holds:
            append = self._flush() or partial(self._otherwise, self.path)
            append()

    def _keep_flushing(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            while self.holds:
                left = self._since + SECONDS - time.monotonic()
                if left > 0:  # what waited before may have been taken along since
                    time.sleep(left)
                    continue
                # What cannot be appended now (the disk is full) is tried again, and by the next append,
                # whose caller hears of it.
                with contextlib.suppress(Exception):
                    self.flush()
                if self.holds:
                    time.sleep(SECONDS)

    def _opened(self) -> mmap.mmap | None:
        """Make the file; None where that cannot be: then nothing waits."""
        folder = folder_of(self.path)
        try:
            folder.mkdir(exist_ok=True)
            share_as(folder, self.path)
            name = f"{os.getpid()}-{secrets.token_hex(4)}"
            hidden = folder / f"{_HIDDEN}{name}"
            handle = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                os.posix_fallocate(handle, 0, _BYTES)  # else a full disk would kill us later
                share_as(hidden, self.path)
                taken(handle)
                self._memory = mmap.mmap(handle, _BYTES)
                self._mark(self._memory, _RANGE.size, _RANGE.size)
                self._file = folder / name
                hidden.rename(self._file)
            except OSError:
                os.close(handle)
                hidden.unlink(missing_ok=True)
                raise
        except OSError:
            self._memory = None
            return None
        self._handle = handle
        return self._memory


def folder_of(path: Path) -> Path:
    """Return where the outboxes of the database at *path* lie."""
    return Path(f"{path}-outbox")


def usable() -> bool:
    """Return True where the system has what an outbox needs: locks that die, space that is promised."""
    return lockable() and hasattr(os, "posix_fallocate")


def outbox_of(path: Path) -> Outbox:
    """Return this process's outbox for the database at *path*, one for all who open it."""
    name = str(path)  # which a path remembers: its own comparisons take long
    box = _boxes.get(name)
    if box is None:
        with _making:
            box = _boxes.setdefault(name, Outbox(path))
    return box


def left_behind(path: Path) -> bool:
    """Return True when a process may have gone and left something waiting."""
    try:
        names = [name for name in os.listdir(folder_of(path)) if _NAME.fullmatch(name)]
    except OSError:
        return False
    box = _boxes.get(str(path))
    mine = box is not None and box.has(names)
    return len(names) > mine


class Estate:
    """What processes that are gone left waiting for the database at *path*.

    To be read while nobody else can append, and deleted once what is not in the log has been appended:
    then whoever finds it taken can rely on its being in the log.

    Args:
        path: the database.
        gone: processes that are known to be gone. The kernel may give their locks back a moment later,
            when another process happens to look at their memory (``ps``).
    """

    def __init__(self, path: Path, gone: Collection[int] = ()) -> None:
        self._folder = folder_of(path)
        self._gone = gone
        self._taken: list[tuple[int, str]] = []

    def __enter__(self) -> Estate:
        return self

    def __exit__(self, *_: object) -> None:
        for handle, _name in self._taken:
            os.close(handle)
        self._taken = []

    def waiting(self) -> list[Waiting]:
        """Return it, and keep all others from taking it."""
        found: list[Waiting] = []
        for name in os.listdir(self._folder):
            process = _NAME.fullmatch(name)
            if process is None:  # not locked yet, or somebody else's
                continue
            try:
                handle = os.open(self._folder / name, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue  # deleted meanwhile
            if taken(handle) or (int(process[1]) in self._gone and _freed(handle)):
                self._taken.append((handle, name))
                found += _records(os.pread(handle, _BYTES, 0))
            else:  # its process lives
                os.close(handle)
        return found

    def delete(self) -> None:
        """Delete it."""
        for handle, name in self._taken:
            os.pwrite(handle, bytes(_RANGE.size), 0)  # for another process that has it open already
            (self._folder / name).unlink(missing_ok=True)


def _freed(handle: int) -> bool:
    until = time.monotonic() + _KERNEL_SECONDS
    while time.monotonic() < until:
        if taken(handle):
            return True
        time.sleep(0.001)
    return False


def _record(waiting: Waiting) -> bytes:
    body = _encode(waiting)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _records(content: bytes) -> Generator[Waiting]:
    """Return the records up to the first that is not whole: a power cut may keep the marks alone."""
    marks = _RANGE.unpack_from(content)[0] if len(content) >= _RANGE.size else 0
    at, end = marks & 0xFFFFFFFF, min(marks >> 32, len(content))
    while at + _HEAD.size <= end:
        length, checksum = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        body = content[at : at + length]
        if not length or zlib.crc32(body) != checksum:
            return
        yield _decode(body)
        at += length


_boxes: dict[str, Outbox] = {}
_making = threading.Lock()


def _let_go_in_child() -> None:
    global _making
    _making = threading.Lock()
    for box in _boxes.values():
        box.let_go_in_child()
    _boxes.clear()


def _at_exit() -> None:
    for box in list(_boxes.values()):
        with contextlib.suppress(Exception):
            box.flush()
        with contextlib.suppress(OSError):
            box.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
