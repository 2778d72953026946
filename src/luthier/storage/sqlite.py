"""Logs in one SQLite file that several processes of one machine write at the same time.

Three rules keep it sound and fast. Every write is a ``BEGIN IMMEDIATE`` transaction: a plain ``BEGIN``
that reads and then writes fails at once when another process wrote in between. Only one process at a
time moves the write-ahead log into the file, under a lock of its own: SQLite before 3.51.3 can damage
the file when two connections do so at the same moment. And writers queue at a lock of ours before they
go to SQLite, whose own waiting sleeps for too long.

A report that nobody needs at once waits in the process's outbox for its next append (``outbox.py``).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import quote

from luthier.errors import StorageError
from luthier.storage import sqlite_file
from luthier.storage.locks import FileLock, lockable
from luthier.storage.outbox import Estate, Waiting, left_behind, outbox_of, usable
from luthier.study.protocols import PAGE, Conflict

Durability = Literal["process", "power"]
_CHECKPOINT_BYTES = 4 << 20
_DECIDING_SECONDS = 5.0
_LOOK_SECONDS = (
    1.0  # between two looks of a reader at whether its file is still the one at the path
)
_AFTER = "SELECT number, body FROM events WHERE study = ? AND number > ? ORDER BY number LIMIT ?"
_APPEND = (
    "INSERT INTO events (study, number, body) SELECT ?, coalesce(max(number), 0) + 1, ? "
    "FROM events WHERE study = ? RETURNING number"
)
_INSERT = "INSERT INTO events (study, number, body) VALUES (?, ?, ?)"
_LAST = "SELECT coalesce(max(number), 0) FROM events WHERE study = ?"


class SQLiteStore:
    """Logs in the SQLite file at *path*, which is made when it is missing.

    Args:
        path: the file.
        read_only: never write, and refuse a file that does not exist.
        durability: what an acknowledged append survives. ``"process"``: the death of any process at
            any moment, and a power cut up to the last few seconds. ``"power"``: a power cut too; every
            append waits for the disk, and those of several processes share one wait.

    Raises:
        StorageError: the folder is missing, the file is no Luthier store, is on a network file
            system, or was written by a newer Luthier.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        read_only: bool = False,
        durability: Durability = "process",
    ) -> None:
        if durability not in ("process", "power"):
            raise StorageError(f"durability must be 'process' or 'power', got {durability!r}.")
        # SQLite keeps its log beside the file that a link leads to, and our locks have to be one for all.
        self.path = Path(path).expanduser().resolve()
        self.durability: Durability = durability
        self._read_only = read_only
        self._thread_lock = threading.RLock()
        self._ids: dict[str, int] = {}
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._file: tuple[int, int] | None = None  # device and number of the file that is open
        self._looked = 0.0
        self._bytes = 0
        self._write_lock = FileLock(Path(f"{self.path}-lock"), self.path)
        self._decide_lock = FileLock(Path(f"{self.path}-deciding"), self.path)
        # While this thread decides briefly; it holds the thread lock too.
        self._alone = False  # the write lock is ours
        self._begun = False  # a transaction is open, for the first append
        self._unsafe = False  # the disk has to be waited for
        self._taken = 0  # of the outbox, by the transaction under way
        sqlite_file.checked_place(self.path, must_exist=read_only)
        with self._thread_lock:
            self._connected()
        self.recover()

    @property
    def address(self) -> str:
        """Return the file's path, with the durability where it is not the usual one."""
        return str(self.path) + ("?durability=power" if self.durability == "power" else "")

    @property
    def replaced(self) -> bool:
        """Whether another file is at the path than the one that is open: deleted and made again, say."""
        here = _identity(self.path)
        return None not in (here, self._file) and here != self._file

    # -- the protocol ----------------------------------------------------------------------------

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies*; see the protocol."""
        return self._append(study, bodies, expect, None)[0]

    def append_and_read(
        self, study: str, bodies: Sequence[bytes], since: int
    ) -> tuple[int, list[tuple[int, bytes]]]:
        """Append, and return what came before; see the protocol."""
        return self._append(study, bodies, None, since)

    def defer(self, study: str, bodies: Sequence[bytes], since: int) -> bool:
        """Let *bodies* wait for the next append; see the protocol."""
        if self.durability == "power" or self._read_only or not usable():
            return False
        waiting = [Waiting(study, since, body) for body in bodies]
        return outbox_of(self.path).put(waiting, self.flush, _flush)

    def flush(self) -> None:
        """Append what was deferred in this process, through whichever store of the same file."""
        if self._read_only:
            outbox_of(self.path).flush()
        elif outbox_of(self.path).holds and not self._alone:
            with _Writing(self) as connection:
                self._insert_waiting(connection)

    def recover(self, gone: Collection[int] = ()) -> None:
        """Append what processes that are gone had deferred; see the protocol."""
        if not usable() or not left_behind(self.path):
            return
        if self._read_only:
            with contextlib.suppress(StorageError):  # no right to write: whoever has does it later
                SQLiteStore(self.path).close()
            return
        with Estate(self.path, gone) as estate:
            with _Writing(self) as connection:
                waiting = sorted(estate.waiting(), key=lambda one: one.study)
                for study, group in groupby(waiting, lambda one: one.study):
                    if bodies := self._still_new(connection, study, list(group)):
                        self._insert(connection, study, bodies)
            estate.delete()

    def _still_new(
        self, connection: sqlite3.Connection, study: str, waiting: list[Waiting]
    ) -> list[bytes]:
        """Return those that belong to this file's log of *study* and are not in it.

        A log that is shorter than its writer knew is another one, in a file that was made anew, or has lost
        its end in a power cut.
        """
        key = self._id(connection, study, create=False)
        (last,) = connection.execute(_LAST, (key,)).fetchone()
        mine = [one for one in waiting if 0 < one.since <= last]
        if not mine:
            return []
        rows = connection.execute(_AFTER, (key, min(one.since for one in mine), -1))
        known = {body for _, body in rows}
        return [one.body for one in mine if one.body not in known]

    def _append(
        self, study: str, bodies: Sequence[bytes], expect: int | None, since: int | None
    ) -> tuple[int, list[tuple[int, bytes]]]:
        key = self._ids.get(study)
        alone = self._alone or outbox_of(self.path).holds
        if expect is None and len(bodies) == 1 and key is not None and not alone:
            first = last = self._append_one(key, bodies[0])
        else:
            first, last = self._append_all(study, bodies, expect)
        self._bytes += sum(map(len, bodies)) + 4096
        if self.durability == "power":
            self._wait_for_disk()
        others: list[tuple[int, bytes]] = []
        if since is not None and since + 1 < first:
            others = self.read(study, since, min(first - since - 1, PAGE))
        if not self._alone:
            self._move_log_if_long()
        return last, others

    def _append_one(self, key: int, body: bytes) -> int:
        """Append in one statement, which is a transaction of its own and a third cheaper."""
        with _Reading(self) as connection:
            queued = self._write_lock.acquire()
            try:
                return connection.execute(_APPEND, (key, body, key)).fetchall()[0][0]
            finally:
                if queued:
                    self._write_lock.release()

    def _append_all(
        self, study: str, bodies: Sequence[bytes], expect: int | None
    ) -> tuple[int, int]:
        """Append in one transaction and return the first and the last number."""
        with _Writing(self) as connection:
            if expect is None:
                self._insert_waiting(connection)
            last = self._insert(connection, study, bodies, expect)
        return last + 1, last + len(bodies)

    def _insert_waiting(self, connection: sqlite3.Connection) -> None:
        """Insert what waits in the outbox, which forgets it once the transaction is committed."""
        box = outbox_of(self.path)
        if self._taken or not box.holds:
            return
        waiting, end = box.waiting()
        for study, group in groupby(waiting, lambda one: one.study):
            self._insert(connection, study, [one.body for one in group])
        self._taken = end

    def _insert(
        self,
        connection: sqlite3.Connection,
        study: str,
        bodies: Sequence[bytes],
        expect: int | None = None,
    ) -> int:
        """Insert *bodies* and return the number of the event before them."""
        key = self._id(connection, study, create=True)
        (last,) = connection.execute(_LAST, (key,)).fetchone()
        if expect is not None and expect != last:
            raise Conflict
        connection.executemany(_INSERT, [(key, last + i, body) for i, body in enumerate(bodies, 1)])
        return last

    def read(self, study: str, since: int = 0, limit: int = PAGE) -> list[tuple[int, bytes]]:
        """Return the events after *since*, at most *limit*."""
        self.flush()
        with _Reading(self) as connection:
            key = self._id(connection, study, create=False)
            if key is None:
                return []
            return connection.execute(_AFTER, (key, since, limit)).fetchall()

    def names(self) -> list[str]:
        """Return the studies' names in the order of their creation."""
        with _Reading(self) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM studies ORDER BY id")]

    def wait(self, study: str, since: int, seconds: float) -> bool:
        """Block until the log holds events after *since*, at most *seconds*."""
        self.flush()
        until = time.monotonic() + seconds
        pause = 0.002
        while True:
            with _Reading(self) as connection:
                key = self._id(connection, study, create=False)
                (last,) = connection.execute(_LAST, (key,)).fetchone()
            left = until - time.monotonic()
            if last > since or left <= 0:
                return last > since
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.05)

    @contextlib.contextmanager
    def deciding(
        self, study: str, *, briefly: bool = False, meanwhile: Callable[[], object] | None = None
    ) -> Generator[None]:
        """Let one process at a time decide; see the protocol."""
        if briefly:
            with self._deciding_alone(meanwhile):
                yield
            return
        mine = self._decide_lock.acquire(_DECIDING_SECONDS)
        try:
            yield
        finally:
            if mine:
                self._decide_lock.release()

    def snapshot(self, study: str) -> tuple[int, bytes] | None:
        """Return the newest snapshot."""
        with _Reading(self) as connection:
            key = self._id(connection, study, create=False)
            if key is None or sqlite_file.schema_of(connection) < sqlite_file.SCHEMA:
                return None
            return connection.execute(
                "SELECT number, body FROM snapshots WHERE study = ?", (key,)
            ).fetchone()

    def keep_snapshot(self, study: str, number: int, body: bytes) -> None:
        """Keep a snapshot in place of an older one."""
        with _Writing(self) as connection:
            key = self._id(connection, study, create=True)
            connection.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?) ON CONFLICT (study) DO UPDATE "
                "SET number = excluded.number, body = excluded.body WHERE number < excluded.number",
                (key, number, body),
            )
            self._bytes += len(body)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self.flush()
        outbox_of(self.path).close()
        with self._thread_lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None
            self._ids.clear()  # another file may be there when it is opened again
            self._write_lock.close()
            self._decide_lock.close()

    # -- housekeeping ----------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return what is wrong with the file, in SQLite's words; nothing when it is sound."""
        with _Reading(self) as connection:
            return [
                line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"
            ]

    def compact(self) -> None:
        """Give back to the disk what the file no longer needs."""
        with self._thread_lock, _translated(self.path):
            connection = self._connected()
            # First this one: whoever has it may wait for a thread that waits for the other.
            moving = FileLock(Path(f"{self.path}-checkpointing"), self.path)
            moving.acquire()
            queued = self._write_lock.acquire()  # where writers wait longer than SQLite lets them
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                moving.close()
                if queued:
                    self._write_lock.release()

    # -- parts -----------------------------------------------------------------------------------

    def _end(self, statement: str) -> None:
        """End the transaction; the outbox forgets what became part of it."""
        taken, self._taken = self._taken, 0
        connection = self._connected()
        try:
            connection.execute(statement)
        except sqlite3.DatabaseError:
            if statement == "COMMIT":
                with contextlib.suppress(sqlite3.DatabaseError):
                    connection.execute("ROLLBACK")
            raise
        if taken and statement == "COMMIT":
            outbox_of(self.path).drop(taken)

    @contextlib.contextmanager
    def _deciding_alone(self, meanwhile: Callable[[], object] | None) -> Generator[None]:
        """Keep all other writers out: what is read stays true until something is appended."""
        with _Reading(self) as connection:
            queued, self._alone = False, True  # reading meanwhile must not wait for the same lock
            try:
                queued = self._write_lock.acquire(meanwhile=meanwhile)
                connection.execute("BEGIN IMMEDIATE")
                self._begun = True
                try:
                    self._insert_waiting(connection)
                    yield
                finally:
                    if self._begun:
                        self._begun = False
                        self._end("COMMIT" if self._taken else "ROLLBACK")
            finally:
                self._alone = False
                if queued:
                    self._write_lock.release()
        if self._unsafe:
            self._unsafe = False
            self._sync()
        self._move_log_if_long()

    def _wait_for_disk(self) -> None:
        """Wait until what was committed is on the disk; while all others wait for us, later."""
        if self._alone:
            self._unsafe = True
        else:
            self._sync()

    def _connected(self) -> sqlite3.Connection:
        """Return this process's own connection: one inherited through a fork must not be used.

        A reader goes over to another file at the path. A writer does not: what it says belongs to the log
        that it knows.
        """
        if self._read_only:
            self._look_at_file()
        if self._connection is None or self._owner != os.getpid():
            with _translated(self.path):
                self._connection = self._open()
            self._owner = os.getpid()
        return self._connection

    def _look_at_file(self) -> None:
        """Let go of a file that is at the path no more, once another one is there."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if self._connection is not None and self._owner == os.getpid() and self.replaced:
            self._connection.close()
            self._connection = None
            self._ids.clear()

    def _open(self) -> sqlite3.Connection:
        before = _identity(self.path)
        connection = self._opened()
        self._file = before or _identity(self.path)  # a writer may have made it
        return connection

    def _opened(self) -> sqlite3.Connection:
        if self._read_only:
            connection = self._connect(f"file:{quote(str(self.path))}?mode=ro")
            try:
                sqlite_file.checked_schema(connection, self.path)
            except sqlite3.OperationalError:
                # SQLite makes files beside a log that it reads; where nobody can write, nobody changes it.
                if not sqlite_file.unchangeable(self.path):
                    raise
                connection.close()
                connection = self._connect(f"file:{quote(str(self.path))}?mode=ro&immutable=1")
                sqlite_file.checked_schema(connection, self.path)
            return connection
        connection = self._connect(f"file:{quote(str(self.path))}")
        if lockable():  # else nobody else moves the log, and SQLite's own way is safe enough
            connection.execute("PRAGMA wal_autocheckpoint=0")
        sqlite_file.migrate(connection)
        sqlite_file.checked_schema(connection, self.path)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA mmap_size=0")
        return connection

    def _connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=sqlite_file.BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _id(self, connection: sqlite3.Connection, study: str, *, create: bool) -> int | None:
        if study in self._ids:
            return self._ids[study]
        row = connection.execute("SELECT id FROM studies WHERE name = ?", (study,)).fetchone()
        if row is None and create:
            # Not remembered yet: the transaction may still be rolled back.
            return connection.execute("INSERT INTO studies (name) VALUES (?)", (study,)).lastrowid
        if row is not None:
            self._ids[study] = row[0]
        return row[0] if row else None

    def _sync(self) -> None:
        """Wait until what was committed is on the disk.

        Outside of the transaction, so that the others write meanwhile: the kernel serves all who wait
        for the same file with one flush.
        """
        try:
            handle = os.open(f"{self.path}-wal", os.O_RDONLY)
        except FileNotFoundError:  # moved into the file since, which waits for the disk by itself
            return
        try:
            os.fsync(handle)
        except OSError as error:
            raise StorageError(
                f"{self.path}: the disk did not take the last events: {error}."
            ) from error
        finally:
            os.close(handle)

    def _move_log_if_long(self) -> None:
        """Checkpoint the write-ahead log where it has grown, unless another process is at it."""
        if self._bytes <= _CHECKPOINT_BYTES:
            return
        self._bytes = 0
        lock = FileLock(Path(f"{self.path}-checkpointing"), self.path)
        if lock.acquire(0.0):
            try:
                with self._thread_lock, contextlib.suppress(sqlite3.OperationalError):
                    # Most of it, and the disk's part, while others write; then what they have added.
                    self._connected().execute("PRAGMA wal_checkpoint(PASSIVE)")
                    self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                lock.release()
        lock.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another, whatever they are called; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _flush(path: Path) -> None:
    """Append what waits in this process's outbox, for a store that is gone."""
    SQLiteStore(path).close()


class _Reading:
    """The connection, for one thread at a time, with SQLite's errors in our words."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        self._store._thread_lock.acquire()  # pyright: ignore[reportPrivateUsage]
        try:
            return self._store._connected()  # pyright: ignore[reportPrivateUsage]
        except BaseException:
            self._store._thread_lock.release()  # pyright: ignore[reportPrivateUsage]
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store._thread_lock.release()  # pyright: ignore[reportPrivateUsage]
        if isinstance(error, sqlite3.DatabaseError):
            raise sqlite_file.in_words(error, self._store.path) from error


class _Writing(_Reading):
    """The same inside an immediate transaction, committed unless something was raised."""

    def __enter__(self) -> sqlite3.Connection:
        connection = super().__enter__()
        store = self._store
        self._queued = not store._alone and store._write_lock.acquire()  # pyright: ignore[reportPrivateUsage]
        try:
            if not store._begun:  # pyright: ignore[reportPrivateUsage]
                connection.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            self._leave()
            super().__exit__(type(error), error, None)
            raise
        self._connection = connection
        return connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store._begun = False  # pyright: ignore[reportPrivateUsage]
        # A conflict is found before anything but what had waited is written, and that others may see.
        sound = kind is None or kind is Conflict
        try:
            self._store._end("COMMIT" if sound else "ROLLBACK")  # pyright: ignore[reportPrivateUsage]
        except sqlite3.DatabaseError as failed:
            error = error or failed
        self._leave()
        super().__exit__(kind, error, trace)

    def _leave(self) -> None:
        if self._queued:
            self._store._write_lock.release()  # pyright: ignore[reportPrivateUsage]


@contextlib.contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise sqlite_file.in_words(error, path) from error
