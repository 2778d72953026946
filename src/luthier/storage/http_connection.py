"""A kept-open connection to a Luthier server, with the standard library alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import IO, TypeVar
from urllib.parse import quote, unquote, urlsplit

from luthier.errors import LuthierError, StorageError
from luthier.study.protocols import Conflict
from luthier.version import __version__

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 90.0  # longer than a server's SQLite waits for its file
_IDLE_SECONDS = 30.0  # shorter than a server or a proxy keeps an idle connection
_AWAY = (502, 503, 504)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_BLOCK = 1 << 20

Result = TypeVar("Result")


class Away(Exception):
    """The server could not be reached; *sent* when the request may have arrived all the same."""

    def __init__(self, why: object, sent: bool) -> None:
        super().__init__(str(why) or type(why).__name__)
        self.sent = sent


class Refused(StorageError):
    """The server understood and did not do it."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Server:
    """Where a server is and how to be let in."""

    scheme: str
    host: str
    port: int | None
    prefix: str
    token: str = field(repr=False)

    @classmethod
    def at(cls, url: str, token: str | None = None) -> Server:
        """Return the server at *url*, with *token*, the URL's own, or that in LUTHIER_TOKEN.

        Raises:
            StorageError: no URL of a server, or no token anywhere.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or port == -1
            or parts.query
            or parts.fragment
        ):
            raise StorageError(
                "This is no address of a Luthier server: expected a URL such as "
                "'http://TOKEN@host:8000' or 'https://TOKEN@host'."
            )
        token = token or unquote(parts.username or "") or os.environ.get("LUTHIER_TOKEN", "")
        made = cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), token)
        if not token:
            raise StorageError(
                f"The server {made.url} wants a token: write it into the URL "
                f"({parts.scheme}://TOKEN@{made.place}) or set LUTHIER_TOKEN. `luthier serve` prints "
                "it when it starts."
            )
        if not token.isascii() or not token.isprintable():
            raise StorageError("The server's token must be of printable ASCII characters.")
        return made

    @property
    def place(self) -> str:
        """Return host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the URL without the token, for people to read."""
        return f"{self.scheme}://{self.place}{self.prefix}"

    @property
    def address(self) -> str:
        """Return the URL with the token."""
        return f"{self.scheme}://{quote(self.token, safe='')}@{self.place}{self.prefix}"


@dataclass(frozen=True)
class Reply:
    """A server's answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Connection:
    """One connection, used by one thread at a time, opened when it is needed.

    Args:
        server: where to.
        patience: for how many seconds ``patiently`` tries again while the server is away.
    """

    def __init__(self, server: Server, patience: float) -> None:
        self.server = server
        self.patience = patience
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._owner = os.getpid()
        self._used = 0.0
        self._random = (
            random.Random()
        )  # its own: the user's training may have seeded the global one

    def patiently(self, action: Callable[[], Result]) -> Result:
        """Return what *action* returns, trying it again for as long as it raises Away.

        Raises:
            StorageError: the server stayed away longer than our patience.
        """
        pauses = self.pauses()
        while True:
            try:
                return action()
            except Away as away:
                pauses(away)

    def pauses(self) -> Callable[[Away], None]:
        """Return a function that pauses, longer each time, and raises StorageError in the end."""
        until = time.monotonic() + self.patience
        pause = _FIRST_PAUSE

        def wait(away: Away) -> None:
            nonlocal pause
            left = until - time.monotonic()
            if left <= 0:
                raise StorageError(
                    f"The server {self.server.url} has not answered for {self.patience:.0f} s "
                    f"({away}). Nothing that it took is lost: see that it runs and can be reached "
                    "from here, and run again."
                ) from away
            # Shorter by chance, so that many workers do not come back in the same moment.
            time.sleep(min(left, pause * self._random.uniform(0.5, 1.0)))
            pause = min(pause * 1.6, _LONGEST_PAUSE)

        return wait

    def request(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> Reply:
        """Send one request and return the answer; *seconds* is the longest silence.

        Raises:
            Away: no answer; see ``patiently``.
            Conflict: status 409.
            StorageError: any other status that is no success (Refused), or no valid certificate.
        """
        with self.streaming(method, path, body, headers, seconds) as response:
            return Reply(response.status, response.headers, response.read())

    @contextlib.contextmanager
    def streaming(
        self,
        method: str,
        path: str,
        body: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> Generator[http.client.HTTPResponse]:
        """As ``request``, but yield the answer while it still arrives."""
        sent = whole = False
        with self._mine():
            try:
                connection = self._opened(seconds)
                sent = True
                broken = _send(
                    connection,
                    method,
                    self.server.prefix + path,
                    body,
                    self._headers(body, headers),
                )
                response = connection.getresponse()
                if response.status in _AWAY:
                    raise Away(f"status {response.status}", sent)
                if response.status >= 300:
                    refusal = _refusal(response, self.server)
                    whole = response.isclosed() and not broken
                    raise refusal
                yield response
                whole = response.isclosed() and not broken
            except ssl.SSLCertVerificationError as error:
                raise StorageError(
                    f"The certificate of {self.server.url} is not trusted ({error.verify_message}). "
                    "Point SSL_CERT_FILE to that of its authority."
                ) from error
            except LuthierError:  # some are also an OSError
                raise
            except (OSError, http.client.HTTPException) as error:
                raise Away(error, sent) from error
            finally:
                self._used = time.monotonic()
                if not whole:  # what is left of this answer would precede the next one
                    self._close()

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        with self._mine():
            self._close()

    @contextlib.contextmanager
    def _mine(self) -> Generator[None]:
        """Hold the lock; after a fork, a new one: another thread may have held it at that moment."""
        if self._owner != os.getpid():
            # The parent still talks over the inherited connection: leave it alone.
            self._lock, self._connection, self._owner = threading.Lock(), None, os.getpid()
        with self._lock:
            yield

    def _opened(self, seconds: float) -> http.client.HTTPConnection:
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self._close()
        if self._connection is None or self._connection.sock is None:
            secure = self.server.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(
                self.server.host, self.server.port, timeout=_CONNECT_SECONDS, blocksize=_BLOCK
            )
            self._connection.connect()
        self._connection.sock.settimeout(seconds)
        return self._connection

    def _headers(
        self, body: bytes | IO[bytes] | None, more: Mapping[str, str] | None
    ) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self.server.token}",
            "User-Agent": f"luthier/{__version__}",
            **(more or {}),
        }
        if body is not None and not isinstance(body, bytes):
            headers["Content-Length"] = str(body.seek(0, os.SEEK_END))
            body.seek(0)
        return headers

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | IO[bytes] | None,
    headers: Mapping[str, str],
) -> bool:
    """Send the request; return True when the server hung up before it had all of it.

    It may have answered all the same: one that refuses a body need not read it.
    """
    try:
        connection.request(method, path, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def _refusal(response: http.client.HTTPResponse, server: Server) -> Exception:
    body = response.read(1 << 20)
    try:
        said = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        said = f"status {response.status} {response.reason}, and nothing that a Luthier server says"
    if response.status == 409:
        return Conflict(said)
    if response.status == 401:
        said = (
            "the token is not the server's. Write the one that `luthier serve` printed into the URL "
            f"({server.scheme}://TOKEN@{server.place}) or into LUTHIER_TOKEN."
        )
    return Refused(f"{server.url} refused: {said}", response.status)
