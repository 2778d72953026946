"""Logs in PostgreSQL, for workers on many machines.

An append is one statement: it raises the study's counter (whose row lock puts writers in a queue),
inserts the events under the new numbers and notifies who waits. psycopg 3 is imported when used.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import zlib
from collections.abc import Callable, Collection, Generator, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from luthier.errors import StorageError, StoreMissingError
from luthier.storage.addresses import without_secrets
from luthier.study.protocols import PAGE, Conflict

_Answer = TypeVar("_Answer")
_KEY = 0x6C757468  # "luth": the class of our advisory locks
_DECIDING_SECONDS = 5.0
_RETRY_SECONDS = 0.2

# How each connection is made, unless the URL says otherwise. A line that is cut without a word (by a firewall,
# or with the machine at its other end) is noticed within half a minute; TCP by itself takes a quarter of an
# hour, and hours where nothing is sent.
_LINE = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}

# What brings a database from each schema to the next.
MIGRATIONS = (
    """
    CREATE TABLE luthier_studies (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
        last bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    CREATE TABLE luthier_events (
        study bigint NOT NULL REFERENCES luthier_studies, number bigint NOT NULL,
        body bytea NOT NULL, PRIMARY KEY (study, number)
    );
    CREATE TABLE luthier_snapshots (
        study bigint PRIMARY KEY REFERENCES luthier_studies, number bigint NOT NULL,
        body bytea NOT NULL
    )
    """,
)
SCHEMA = len(MIGRATIONS)

_APPEND = """
WITH raised AS (
    UPDATE luthier_studies SET last = last + %(count)s
    FROM (SELECT pg_advisory_xact_lock(%(key)s)) AS ours -- before the counter is waited for
    WHERE name = %(name)s AND (%(expect)s::bigint IS NULL OR last = %(expect)s) RETURNING id, last
), written AS (
    INSERT INTO luthier_events (study, number, body)
    SELECT id, last - %(count)s + place, body
    FROM raised, unnest(%(bodies)s::bytea[]) WITH ORDINALITY AS new (body, place)
)
SELECT last, pg_notify('luthier', id::text) FROM raised
"""
_READ = """
SELECT number, body FROM luthier_events
WHERE study = (SELECT id FROM luthier_studies WHERE name = %s) AND number > %s
ORDER BY number LIMIT %s
"""
_KEEP = """
INSERT INTO luthier_snapshots (study, number, body)
SELECT id, %(number)s, %(body)s FROM luthier_studies WHERE name = %(name)s
ON CONFLICT (study) DO UPDATE SET number = excluded.number, body = excluded.body
WHERE luthier_snapshots.number < excluded.number
"""


class PostgresStore:
    """Logs in the PostgreSQL database that *url* names; the tables are made when they are missing.

    Args:
        url: ``postgresql://user:password@host:port/database``.
        read_only: make no tables, and refuse a database without them.
        patience: seconds for which a server that is away (restarted, failed over) is waited for.

    Raises:
        StorageError: psycopg is not installed, the server refuses us, it was written by a newer
            Luthier, or the tables are missing and must not be made.
    """

    def __init__(self, url: str, *, read_only: bool = False, patience: float = 60.0) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise StorageError(
                "postgresql:// needs psycopg: pip install 'luthier[postgres]'."
            ) from error
        self._psycopg = psycopg
        self._url = _checked(url)
        self._patience = patience
        self._lock = threading.RLock()
        self._connection: Any = None
        self._listener: Any = None
        self._owner = 0
        self._known: dict[str, int] = {}  # the last number of each study that we have seen
        self._again(lambda c: _migrate(c, read_only, self.place))

    @property
    def address(self) -> str:
        """Return the URL, password included: workers connect by it."""
        return self._url

    @property
    def place(self) -> str:
        """Return the URL without what is secret, for people to read."""
        parts = urlsplit(f"postgresql://{_without_user(self._url)}")
        return f"postgresql://{parts.hostname or ''}{parts.path}"

    # -- the protocol ----------------------------------------------------------------------------

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies*; see the protocol."""
        values = {
            "name": study,
            "expect": expect,
            "bodies": list(bodies),
            "count": len(bodies),
            "key": int.from_bytes(os.urandom(8), signed=True),
        }

        def attempt(connection: Any) -> int | None:
            if study not in self._known:
                connection.execute(
                    "INSERT INTO luthier_studies (name) VALUES (%s) ON CONFLICT DO NOTHING",
                    (study,),
                )
            row = connection.execute(_APPEND, values).fetchone()
            return None if row is None else row[0]

        def happened(connection: Any) -> int | None:
            """Look for exactly these events: the line may have been cut after they were written.

            The server may still be at it, waiting for the counter: its end is waited for.
            """
            connection.execute("SELECT pg_advisory_xact_lock(%(key)s)", values)
            return self._found(connection, study, bodies, expect)

        last = self._again(attempt, happened)
        if last is None:
            raise Conflict
        self._known[study] = last
        return last

    def defer(self, study: str, bodies: Sequence[bytes], since: int) -> bool:
        """Return False: this process has no place of its own that would outlive it."""
        return False

    def recover(self, gone: Collection[int] = ()) -> None:
        """Do nothing: nothing is deferred."""

    def read(self, study: str, since: int = 0, limit: int = PAGE) -> list[tuple[int, bytes]]:
        """Return the events after *since*, at most *limit*."""
        rows = self._again(
            lambda c: c.execute(_READ, (study, since, limit), binary=True).fetchall()
        )
        if rows:
            self._known[study] = max(self._known.get(study, 0), rows[-1][0])
        return rows

    def append_and_read(
        self, study: str, bodies: Sequence[bytes], since: int
    ) -> tuple[int, list[tuple[int, bytes]]]:
        """Append, and return what came before; see the protocol."""
        last = self.append(study, bodies)
        between = last - len(bodies) - since
        return last, self.read(study, since, min(between, PAGE)) if between > 0 else []

    def names(self) -> list[str]:
        """Return the studies' names in the order of their creation."""
        rows = self._again(
            lambda c: c.execute(
                "SELECT name FROM luthier_studies WHERE last > 0 ORDER BY id"
            ).fetchall()
        )
        return [name for (name,) in rows]

    def wait(self, study: str, since: int, seconds: float) -> bool:
        """Block until the server notifies of events after *since*, at most *seconds*.

        A server that is away is no error here: the next call finds out whether it came back.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                listener = self._listening()
                if self.read(study, since, limit=1):
                    return True
                left = until - time.monotonic()
                if left <= 0:
                    return False
                for _ in listener.notifies(timeout=left, stop_after=1):
                    pass
            except self._psycopg.OperationalError:  # the server went away: no news, then
                self._listener = None
                left = until - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(_RETRY_SECONDS, left))

    @contextlib.contextmanager
    def deciding(
        self, study: str, *, briefly: bool = False, meanwhile: Callable[[], object] | None = None
    ) -> Generator[None]:
        """Let one process at a time decide, by an advisory lock that dies with the connection."""
        key = (_KEY, zlib.crc32(study.encode()) & 0x7FFFFFFF)
        mine = False
        until = time.monotonic() + _DECIDING_SECONDS
        pause = 0.001
        while not mine and time.monotonic() < until:
            mine = self._again(
                lambda c: c.execute("SELECT pg_try_advisory_lock(%s, %s)", key).fetchone()[0]
            )
            if not mine:
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
        try:
            yield
        finally:
            if mine:
                with contextlib.suppress(StorageError):
                    self._again(lambda c: c.execute("SELECT pg_advisory_unlock(%s, %s)", key))

    def snapshot(self, study: str) -> tuple[int, bytes] | None:
        """Return the newest snapshot."""
        query = (
            "SELECT number, body FROM luthier_snapshots "
            "WHERE study = (SELECT id FROM luthier_studies WHERE name = %s)"
        )
        return self._again(lambda c: c.execute(query, (study,), binary=True).fetchone())

    def keep_snapshot(self, study: str, number: int, body: bytes) -> None:
        """Keep a snapshot in place of an older one."""
        values = {"name": study, "number": number, "body": body}
        self._again(lambda c: c.execute(_KEEP, values))

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        with self._lock:
            if self._owner == os.getpid():
                for connection in (self._connection, self._listener):
                    if connection is not None:
                        connection.close()
            self._connection = self._listener = None

    # -- housekeeping ----------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return what is wrong: logs with gaps, or whose counter is not their last event."""
        query = """
            SELECT s.name, s.last, count(e.number), coalesce(max(e.number), 0)
            FROM luthier_studies s LEFT JOIN luthier_events e ON e.study = s.id
            GROUP BY s.id HAVING s.last <> count(e.number) OR s.last <> coalesce(max(e.number), 0)
        """
        rows = self._again(lambda c: c.execute(query).fetchall())
        return [
            f"study {name!r}: {count} events up to number {top}, the counter says {last}"
            for name, last, count, top in rows
        ]

    def compact(self) -> None:
        """Have the server give back what updated rows left behind."""
        for table in ("luthier_studies", "luthier_events", "luthier_snapshots"):
            self._again(lambda c, table=table: c.execute(f"VACUUM {table}"))

    # -- parts -----------------------------------------------------------------------------------

    def _again(
        self,
        action: Callable[[Any], _Answer],
        happened: Callable[[Any], _Answer | None] | None = None,
    ) -> _Answer:
        """Run *action* on the connection, again after a cut line unless *happened* finds its result."""
        errors = self._psycopg
        until: float | None = None
        pause, started = 0.02, False
        while True:
            try:
                with self._lock:
                    connection = self._connected()
                    if started and happened is not None:
                        result = happened(connection)
                        if result is not None:
                            return result
                    started = True
                    return action(connection)
            except (errors.OperationalError, errors.InterfaceError) as error:
                self._drop()
                now = time.monotonic()
                until = now + self._patience if until is None else until
                if now > until or _hopeless(str(error)):
                    raise self._in_words(error) from error
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
            except errors.Error as error:
                raise self._in_words(error) from None

    def _in_words(self, error: Exception) -> StorageError:
        """Return a database's error as ours; libpq repeats a URL, or its part, that it cannot read."""
        said = str(error).strip()
        user = self._url.partition("://")[2].partition("/")[0].rpartition("@")[0]
        for secret in (self._url, user.partition(":")[2]):
            said = said.replace(secret, "***") if secret else said
        return StorageError(f"{self.place}: {said}")

    def _connected(self) -> Any:
        """Return this process's own connection: one inherited through a fork must not be used."""
        if self._connection is None or self._connection.closed or self._owner != os.getpid():
            if self._owner != os.getpid():
                self._listener = None
            self._connection = self._connect("luthier")
            self._owner = os.getpid()
        return self._connection

    def _connect(self, name: str) -> Any:
        from psycopg.conninfo import conninfo_to_dict

        given = conninfo_to_dict(self._url)
        line: dict[str, Any] = {key: value for key, value in _LINE.items() if key not in given}
        return self._psycopg.connect(self._url, autocommit=True, application_name=name, **line)

    def _listening(self) -> Any:
        with self._lock:
            self._connected()  # notices a fork
            if self._listener is None or self._listener.closed:
                self._listener = self._connect("luthier wait")
                self._listener.execute("LISTEN luthier")
            return self._listener

    def _drop(self) -> None:
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                with contextlib.suppress(Exception):
                    self._connection.close()
            self._connection = None

    def _found(
        self, connection: Any, study: str, bodies: Sequence[bytes], expect: int | None
    ) -> int | None:
        """Return the last number of *bodies* where they stand in a row, after *expect* if that was said."""
        since = self._known.get(study, 0) if expect is None else expect
        most = PAGE if expect is None else len(bodies)
        rows = connection.execute(_READ, (study, since, most), binary=True).fetchall()
        wanted, written = list(bodies), [bytes(body) for _, body in rows]
        for start in range(len(written) - len(wanted) + 1):
            if written[start : start + len(wanted)] == wanted:
                return rows[start + len(wanted) - 1][0]
        return None


def _checked(url: str) -> str:
    """Return *url*.

    Raises:
        StorageError: its password has a slash in it, and libpq would take what is before that for the host.
    """
    if "@" in url.partition("://")[2].partition("?")[0].partition("/")[2]:
        raise StorageError(
            f"{without_secrets(url)!r} has an '@' behind a slash: expected "
            "postgresql://user:password@host:port/database. Write a slash in the password as %2F, and an "
            "'@' in the database's name as %40."
        )
    return url


def _without_user(url: str) -> str:
    host, slash, rest = url.partition("://")[2].partition("/")
    return host.rpartition("@")[2] + slash + rest


def _migrate(connection: Any, read_only: bool, place: str) -> None:
    """Bring the tables to this version's schema, once, however many processes try at the same moment.

    Where nothing is missing nothing is written: a role may lack the right to make tables, a server any.

    Raises:
        StorageError: a newer Luthier has been here, or none, and nothing may be written.
    """
    if _version(connection) == SCHEMA:
        return
    if read_only:
        raise StoreMissingError(f"{place}: there is no Luthier store in this database.")
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (_KEY,))
        connection.execute("CREATE TABLE IF NOT EXISTS luthier_schema (version int NOT NULL)")
        version = _version(connection)
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            connection.execute(migration)
            connection.execute("INSERT INTO luthier_schema VALUES (%s)", (number,))


def _version(connection: Any) -> int:
    """Return the schema's number, 0 where there is none.

    Raises:
        StorageError: it is newer than this version's.
    """
    if connection.execute("SELECT to_regclass('luthier_schema')").fetchone()[0] is None:
        return 0
    version = connection.execute("SELECT max(version) FROM luthier_schema").fetchone()[0] or 0
    if version > SCHEMA:
        raise StorageError(
            f"The database has schema {version}, this luthier reads up to {SCHEMA}: upgrade luthier."
        )
    return version


def _hopeless(error: str) -> bool:
    """Return True when waiting will not help: a wrong password or database."""
    return any(
        words in error
        for words in ("authentication failed", "does not exist", "no pg_hba.conf", "invalid")
    )
