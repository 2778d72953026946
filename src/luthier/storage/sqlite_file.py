"""The SQLite file itself: its schema, its migrations, its place, and its errors in plain words."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from luthier.errors import StorageError

BUSY_SECONDS = 60.0

# Where several machines see one file, they share no memory, which SQLite's log needs, and locks may be each
# machine's own. 9p is such a one: unless told otherwise it maps no file into memory that processes share. Not
# virtiofs, which carries a host's folder, too, but is the root of whole container runtimes: within a guest the
# guest's kernel has locks and shared memory as on a disk. (A host and a guest that write at the same time would
# lose data there; nothing tells that from one guest alone.)
_NETWORK = (
    "nfs", "cifs", "smb", "ncp", "afs", "auristorfs", "coda", "9p", "lustre", "beegfs", "fhgfs", "gpfs",
    "ceph", "panfs", "wekafs", "orangefs", "pvfs2", "glusterfs",
)  # fmt: skip
# By what serves them in user space. Whatever else is there may be a local disk, as fuseblk, fuse.overlayfs and
# fuse.gocryptfs are.
_NETWORK_BY_FUSE = (
    "sshfs", "glusterfs", "ceph", "juicefs", "seaweedfs", "weed", "mfs", "moosefs", "lizardfs", "saunafs",
    "s3fs", "goofys", "geesefs", "mount-s3", "mountpoint-s3", "gcsfuse", "blobfuse", "objectivefs", "rclone",
    "davfs", "curlftpfs", "smbnetfs", "gvfsd-fuse", "alluxio", "hdfs", "fuse_dfs", "quobyte", "hf3fs", "afs",
    "wekafs", "beegfs", "vmhgfs-fuse",
)  # fmt: skip

# What brings a file from each schema to the next; a fresh file goes through all of them.
MIGRATIONS = (
    """
    CREATE TABLE studies (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE events (
        study INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (study, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE snapshots (study INTEGER PRIMARY KEY, number INTEGER NOT NULL, body BLOB NOT NULL)
    """,
)
SCHEMA = len(MIGRATIONS)
OLDEST = (3, 35, 0)  # has RETURNING


def checked_place(path: Path, *, must_exist: bool) -> None:
    """Refuse a place where a store cannot be.

    Raises:
        StorageError: SQLite is too old, the folder is missing, the file is and must not be, or it is on
            a network file system.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise StorageError(
            f"This Python has SQLite {sqlite3.sqlite_version}; Luthier's store needs {wanted} (2021). "
            "Use a newer Python, or storage='postgresql://...'."
        )
    if not path.parent.is_dir():
        raise StorageError(
            f"Cannot keep studies in {path}: the folder {path.parent} does not exist."
        )
    if path.is_dir():
        raise StorageError(
            f"{path} is a folder: expected a file in it, such as {path / 'luthier.db'}."
        )
    if must_exist and not path.exists():
        raise StorageError(
            f"There is no {path}. Studies are looked for in luthier.db in the working "
            "directory; name another file with --storage."
        )
    if is_network(system := file_system(path)):
        raise StorageError(
            f"{path} is on a network file system ({system}), where SQLite loses data when "
            "several processes write. Keep it on a local disk, e.g. storage='/tmp/luthier.db'; "
            "for several machines use postgresql://..., or `luthier serve` and http://..."
        )


def is_network(system: str) -> bool:
    """Return whether a file system of this type, as the kernel calls it, is shared by several machines."""
    kind, _, server = system.lower().partition(".")
    return server.startswith(_NETWORK_BY_FUSE) if kind == "fuse" else kind.startswith(_NETWORK)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this version's schema, once, however many processes try at the same moment.

    A file of another program (it has tables but no schema number) is left as it is.
    """
    if schema_of(connection) >= SCHEMA:
        return
    busy(lambda: connection.execute("PRAGMA journal_mode=WAL"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = schema_of(connection)
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version > 0 or tables == 0:
            for number, migration in enumerate(MIGRATIONS[version:], version + 1):
                for statement in migration.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={number}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def schema_of(connection: sqlite3.Connection) -> int:
    """Return the file's schema number, 0 for a file that is no store."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version


def checked_schema(connection: sqlite3.Connection, path: Path) -> int:
    """Return the file's schema number.

    Raises:
        StorageError: it is newer than this version's, or the file is no store.
    """
    version = schema_of(connection)
    if version > SCHEMA:
        raise StorageError(
            f"{path} has schema {version}, this luthier reads up to {SCHEMA}: upgrade luthier."
        )
    if version == 0:
        raise StorageError(
            f"{path} is an SQLite file of another program: name another file with storage=."
        )
    return version


def busy(statement: Callable[[], object]) -> None:
    """Run a statement that SQLite's own waiting does not cover (a change of journal mode)."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            statement()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def in_words(error: sqlite3.DatabaseError, path: Path) -> StorageError:
    """Return SQLite's error as ours, with what to do."""
    text = str(error)
    if "locked" in text:
        advice = f"another process has held it for {BUSY_SECONDS:.0f} s"
    elif "full" in text:
        advice = "the disk is full; nothing written before is lost: free space and run again"
    elif "not a database" in text or "malformed" in text:
        advice = "the file is damaged or no SQLite file; name another one with storage="
    elif "readonly" in text or "unable to open" in text:
        advice = "check the permissions of the file and of its folder"
        if on_read_only_medium(path.parent):
            advice = "it is on a read-only medium: copy it to where files can be written"
    else:
        advice = "the store could not do this"
    return StorageError(f"{path}: {text} ({advice}).")


def unchangeable(path: Path) -> bool:
    """Return whether the store is on a medium that nobody can write, with all that was written in it.

    Raises:
        StorageError: some of what was written is in a log beside it that cannot be read there.
    """
    if not on_read_only_medium(path):
        return False
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StorageError(
            f"{path} is on a read-only medium, and its last events are in {log.name}, which can only be read "
            "where files can be written: copy both into another folder, and look at them there."
        )
    return True


def on_read_only_medium(path: Path) -> bool:
    """Return whether nobody can write where *path* is; False where that cannot be told."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (OSError, AttributeError):  # AttributeError: Windows
        return False


def file_system(path: Path) -> str:
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
