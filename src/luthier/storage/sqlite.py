"""Logs in one SQLite file that several processes of one machine write at the same time.

Two rules keep it sound. Every write is a ``BEGIN IMMEDIATE`` transaction: a plain ``BEGIN`` that
reads and then writes fails at once when another process wrote in between. And only one process at a
time moves the write-ahead log into the file, under a lock of its own: SQLite before 3.51.3 can damage
the file when two connections do so at the same moment.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from luthier.errors import StorageError
from luthier.study.protocols import Conflict

SCHEMA = 1
_BUSY_SECONDS = 60.0
_CHECKPOINT_BYTES = 4 << 20
_NETWORK = ("nfs", "cifs", "smb", "lustre", "fuse.sshfs", "fuse.glusterfs", "beegfs", "gpfs", "9p")
_TABLES = """
CREATE TABLE studies (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE events (
    study INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (study, number)
) WITHOUT ROWID;
"""


class SQLiteStore:
    """Logs in the SQLite file at *path*, which is made when it is missing.

    What was appended survives the death of any process at any moment. It survives a power cut only
    up to the last few seconds: commits do not wait for the disk.

    Raises:
        StorageError: the folder is missing, the file is no Luthier store, is on a network file
            system, or was written by a newer Luthier.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path).expanduser().absolute()
        self._read_only = read_only
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._bytes = 0
        if not self.path.parent.is_dir():
            raise StorageError(
                f"Cannot keep studies in {self.path}: the folder {self.path.parent} does not exist."
            )
        if read_only and not self.path.exists():
            raise StorageError(
                f"There is no {self.path}. Studies are looked for in luthier.db in the working "
                "directory; name another file with --storage."
            )
        if (system := _file_system(self.path)).startswith(_NETWORK):
            raise StorageError(
                f"{self.path} is on a network file system ({system}), where SQLite loses data when "
                "several processes write. Keep it on a local disk, e.g. storage='/tmp/luthier.db'."
            )
        self._connected()

    # -- the protocol ----------------------------------------------------------------------------

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies*; see the protocol."""
        with self._lock, self._writing() as cursor:
            key = self._id(cursor, study, create=True)
            (last,) = cursor.execute(
                "SELECT coalesce(max(number), 0) FROM events WHERE study = ?", (key,)
            ).fetchone()
            if expect is not None and expect != last:
                raise Conflict
            cursor.executemany(
                "INSERT INTO events (study, number, body) VALUES (?, ?, ?)",
                [(key, last + i, body) for i, body in enumerate(bodies, 1)],
            )
            self._bytes += sum(map(len, bodies)) + 4096
        if self._bytes > _CHECKPOINT_BYTES:
            self._bytes = 0
            self._move_log_into_file()
        return last + len(bodies)

    def read(self, study: str, since: int = 0) -> list[tuple[int, bytes]]:
        """Return the events after *since*."""
        with self._lock, _translated(self.path):
            cursor = self._connected().cursor()
            key = self._id(cursor, study, create=False)
            if key is None:
                return []
            return cursor.execute(
                "SELECT number, body FROM events WHERE study = ? AND number > ? ORDER BY number",
                (key, since),
            ).fetchall()

    def names(self) -> list[str]:
        """Return the studies' names in the order of their creation."""
        with self._lock, _translated(self.path):
            rows = self._connected().execute("SELECT name FROM studies ORDER BY id").fetchall()
            return [name for (name,) in rows]

    def wait(self, study: str, since: int, seconds: float) -> bool:
        """Block until the log holds events after *since*, at most *seconds*."""
        until = time.monotonic() + seconds
        pause = 0.002
        while True:
            with self._lock, _translated(self.path):
                cursor = self._connected().cursor()
                key = self._id(cursor, study, create=False)
                (last,) = cursor.execute(
                    "SELECT coalesce(max(number), 0) FROM events WHERE study = ?", (key,)
                ).fetchone()
            left = until - time.monotonic()
            if last > since or left <= 0:
                return last > since
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 0.05)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    # -- parts -----------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        """Return this process's own connection: one inherited through a fork must not be used."""
        if self._connection is None or self._owner != os.getpid():
            with _translated(self.path):
                self._connection = self._open()
            self._owner = os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            connection = self._connect(f"file:{self.path}?mode=ro")
            _checked_schema(connection, self.path)
            return connection
        connection = self._connect(f"file:{self.path}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            _set_up(connection)
        _checked_schema(connection, self.path)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA mmap_size=0")
        return connection

    def _connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    @contextlib.contextmanager
    def _writing(self) -> Generator[sqlite3.Cursor]:
        with _translated(self.path):
            cursor = self._connected().cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _id(self, cursor: sqlite3.Cursor, study: str, *, create: bool) -> int | None:
        if study in self._ids:
            return self._ids[study]
        row = cursor.execute("SELECT id FROM studies WHERE name = ?", (study,)).fetchone()
        if row is None and create:
            # Not remembered yet: the transaction may still be rolled back.
            return cursor.execute("INSERT INTO studies (name) VALUES (?)", (study,)).lastrowid
        if row is not None:
            self._ids[study] = row[0]
        return row[0] if row else None

    def _move_log_into_file(self) -> None:
        """Checkpoint the write-ahead log, unless another process is at it."""
        with _only_one(self.path) as mine:
            if mine:
                with self._lock, contextlib.suppress(sqlite3.OperationalError):
                    self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _set_up(connection: sqlite3.Connection) -> None:
    """Make the tables, once, however many processes try at the same moment."""
    _busy(lambda: connection.execute("PRAGMA journal_mode=WAL"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _busy(statement: Callable[[], object]) -> None:
    """Run a statement that SQLite's own waiting does not cover (a change of journal mode)."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            statement()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _checked_schema(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise StorageError(
            f"{path} has schema {version}, this luthier reads up to {SCHEMA}: upgrade luthier."
        )
    if version != SCHEMA:
        raise StorageError(
            f"{path} is an SQLite file of another program: name another file with storage=."
        )


@contextlib.contextmanager
def _translated(path: Path) -> Generator[None]:
    """Turn SQLite's errors into ours, with what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "locked" in text:
            advice = f"another process has held it for {_BUSY_SECONDS:.0f} s"
        elif "full" in text:
            advice = "the disk is full; nothing written before is lost: free space and run again"
        elif "not a database" in text or "malformed" in text:
            advice = "the file is damaged or no SQLite file; name another one with storage="
        elif "readonly" in text or "unable to open" in text:
            advice = "check the permissions of the file and of its folder"
        else:
            advice = "the store could not do this"
        raise StorageError(f"{path}: {text} ({advice}).") from error


@contextlib.contextmanager
def _only_one(path: Path) -> Generator[bool]:
    """Yield True in one process at a time; the lock dies with its process."""
    try:
        import fcntl
    except (
        ImportError
    ):  # Windows: no advisory locks; SQLite there checkpoints when the last one closes
        yield False
        return
    with open(f"{path}-checkpointing", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _file_system(path: Path) -> str:
    """Return the type of the file system that *path* is on, '' where it cannot be told."""
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    where = str(path.resolve())
    for line in mounts:
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind
