"""Logs behind a Luthier server, for machines that share no disk and no database."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar
from urllib.parse import quote

import msgspec

from luthier.errors import StorageError
from luthier.storage.http_connection import Away, Connection, Refused, Reply, Server
from luthier.study.protocols import PAGE, Conflict

_POLL_SECONDS = 25.0  # below the minute after which many proxies give up
_MARGIN_SECONDS = 30.0
_RETRY_SECONDS = 0.5

Answer = TypeVar("Answer")


class _Page(msgspec.Struct):
    events: list[tuple[int, bytes]]
    more: bool


class _Names(msgspec.Struct):
    names: list[str]


class _Last(msgspec.Struct):
    last: int


class HTTPStore:
    """Logs behind the server at *url*, which ``luthier serve`` runs.

    While the server is away, every call tries again for up to *patience* seconds. What was appended
    is in the log once, whatever happened to the connection in between.

    Args:
        url: ``http://TOKEN@host:port``, or ``https://``.
        token: in place of the one in the URL; without either, LUTHIER_TOKEN.
        patience: seconds.

    Raises:
        StorageError: no URL of a server, or no token. A wrong token is told by the first call.
    """

    def __init__(self, url: str, token: str | None = None, *, patience: float = 60.0) -> None:
        self.server = Server.at(url, token)
        self.patience = patience
        self._connection = Connection(self.server, patience)
        # Of its own: an append must not stand behind a poll of half a minute.
        self._polling = Connection(self.server, patience)
        self._known: dict[str, int] = {}  # numbers that a study's log is sure to have reached

    @property
    def address(self) -> str:
        """Return the URL with the token in it."""
        return self.server.address

    def append(self, study: str, bodies: Sequence[bytes], expect: int | None = None) -> int:
        """Append all of *bodies*; see the protocol.

        Raises:
            Conflict: the log's last number is not *expect*.
            StorageError: the server stayed away, or refused.
        """
        known = self._known.get(study, 0) if expect is None else expect
        body = msgspec.json.encode({"expect": expect, "bodies": bodies})
        # The server knows an append by its key for as long as it runs; the log knows it for ever.
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
        pauses = self._connection.pauses()
        doubtful = looked_again = False
        while True:
            try:
                last = self._found(study, known, bodies) if doubtful else None
                if last is None:
                    reply = self._connection.request("POST", _events(study), body, headers)
                    last = _decoded(reply, _Last).last
                self._reached(study, last)
                return last
            except Away as away:
                doubtful = doubtful or away.sent
                pauses(away)
            except Conflict:
                # It may be our own append that is in the way: one that arrived after we had looked.
                if not doubtful or looked_again:
                    raise
                looked_again = True

    def defer(self, study: str, bodies: Sequence[bytes], since: int) -> bool:
        """Return False: this process has no place of its own that would outlive it."""
        return False

    def recover(self, gone: Collection[int] = ()) -> None:
        """Do nothing: nothing is deferred."""

    def read(self, study: str, since: int = 0, limit: int = PAGE) -> list[tuple[int, bytes]]:
        """Return the events after *since*, at most *limit*.

        Raises:
            StorageError: the server stayed away, or refused.
        """
        events: list[tuple[int, bytes]] = []
        more = True
        while more and len(events) < limit:
            last = events[-1][0] if events else since
            question = f"since={last}&limit={limit - len(events)}"
            page = self._connection.patiently(
                lambda question=question: _page(self._connection, study, question)
            )
            events += page.events
            more = page.more
        if events:
            self._reached(study, events[-1][0])
        return events

    def append_and_read(
        self, study: str, bodies: Sequence[bytes], since: int
    ) -> tuple[int, list[tuple[int, bytes]]]:
        """Append, and return what came before; see the protocol."""
        last = self.append(study, bodies)
        between = last - len(bodies) - since
        return last, self.read(study, since, min(between, PAGE)) if between > 0 else []

    def names(self) -> list[str]:
        """Return the studies' names in the order of their creation."""
        reply = self._connection.patiently(lambda: self._connection.request("GET", "/v1/studies"))
        return _decoded(reply, _Names).names

    def wait(self, study: str, since: int, seconds: float) -> bool:
        """Block until the log holds events after *since*, at most about *seconds*.

        A server that is away is no error here: the next call finds out whether it came back.
        """
        until = time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            wait = min(left, _POLL_SECONDS)
            question = f"since={since}&limit=1&wait={wait:.3f}"
            try:
                if _page(self._polling, study, question, wait + _MARGIN_SECONDS).events:
                    return True
            except Away:
                time.sleep(min(left, _RETRY_SECONDS))
            if time.monotonic() >= until:
                return False

    def deciding(
        self, study: str, *, briefly: bool = False, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[object]:
        """Do nothing: holding a lock over a network costs more than deciding twice."""
        return nullcontext()

    def snapshot(self, study: str) -> tuple[int, bytes] | None:
        """Return the newest snapshot."""
        path = f"{study_path(study)}/snapshot"
        try:
            reply = self._connection.patiently(lambda: self._connection.request("GET", path))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        return int(reply.headers["Luthier-Number"]), reply.body

    def keep_snapshot(self, study: str, number: int, body: bytes) -> None:
        """Keep a snapshot in place of the one before, unless it is too large for the server."""
        path = f"{study_path(study)}/snapshot"
        headers = {"Content-Type": "application/octet-stream", "Luthier-Number": str(number)}
        try:
            self._connection.patiently(lambda: self._connection.request("PUT", path, body, headers))
        except Refused as refused:
            if refused.status != 413:  # it only saves time
                raise

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        self._connection.close()
        self._polling.close()

    def _reached(self, study: str, number: int) -> None:
        self._known[study] = max(number, self._known.get(study, 0))

    def _found(self, study: str, known: int, bodies: Sequence[bytes]) -> int | None:
        """Return the last number of *bodies* where they stand in a row after *known*, else None."""
        events: list[tuple[int, bytes]] = []
        more = True
        while more:
            last = events[-1][0] if events else known
            page = _page(self._connection, study, f"since={last}")
            events += page.events
            more = page.more
        wanted = list(bodies)
        for start in range(len(events) - len(wanted) + 1 if wanted else 0):
            if [body for _, body in events[start : start + len(wanted)]] == wanted:
                return events[start + len(wanted) - 1][0]
        return None


def study_path(study: str) -> str:
    """Return the path of a study on the server."""
    return f"/v1/studies/{quote(study, safe='')}"


def _events(study: str) -> str:
    return f"{study_path(study)}/events"


def _page(connection: Connection, study: str, question: str, seconds: float | None = None) -> _Page:
    path = f"{_events(study)}?{question}"
    if seconds is None:
        return _decoded(connection.request("GET", path), _Page)
    return _decoded(connection.request("GET", path, seconds=seconds), _Page)


def _decoded(reply: Reply, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.DecodeError as error:
        raise StorageError(
            f"The server's answer is not what a Luthier server says ({error}): see that the URL is "
            "that of `luthier serve`."
        ) from error
