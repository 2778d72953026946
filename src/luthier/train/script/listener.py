"""The socket on which scripts report and hear whether to go on."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from luthier.train.script.sources import Reading, reading_from

_PREFIX = "luthier-script-"
_OLD = 60.0  # seconds after which a socket that nobody listens on was left by a process that was killed


class Listener:
    """A socket on which scripts report and hear whether to go on."""

    def __init__(self, put: Callable[[Reading], None]) -> None:
        self._put_reading = put
        self._lock = threading.Lock()
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._waiting: set[threading.Event] = set()  # each for the answer to a report
        _sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)  # short: a path of 108 bytes
        self.address = str(Path(self._folder.name) / "s")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self.address)
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Hear nobody any more; who waits for an answer hears that it is over."""
        with self._lock:
            self._closed = True
            for heard in self._waiting:
                heard.set()
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the script is gone
                    connection.shutdown(socket.SHUT_RD)
        # On Linux close() alone leaves who is in accept() there, with the socket, for ever.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        gone = contextlib.suppress(OSError, ValueError)
        with gone, connection, connection.makefile("rw", encoding="utf-8") as lines:
            with self._lock:
                if self._closed:
                    return
                self._connections.add(connection)
            try:
                for line in lines:
                    answer = self._put(reading_from(line))
                    lines.write(json.dumps(answer) + "\n")
                    lines.flush()
            finally:
                with self._lock:
                    self._connections.discard(connection)

    def _put(self, reading: Reading | None) -> dict[str, Any]:
        """Put a reading in the queue, and return what is answered to it."""
        if reading is None:
            return {"go_on": True}
        answer: dict[str, Any] = {"go_on": False}  # where nobody says otherwise any more
        heard = threading.Event()

        def tell(go_on: bool, why: str) -> None:
            answer.update(go_on=go_on, why=why)
            heard.set()

        with self._lock:
            if self._closed:
                return answer
            self._waiting.add(heard)
        self._put_reading(Reading(reading.metrics, reading.step, tell))
        heard.wait()
        with self._lock:
            self._waiting.discard(heard)
        return answer


def _sweep() -> None:
    """Delete the sockets of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _OLD and not _heard(folder / "s"):
                shutil.rmtree(folder, ignore_errors=True)


def _heard(address: Path) -> bool:
    """Return whether somebody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)  # who is stopped and has a full backlog is there
        try:
            probe.connect(str(address))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
