"""A real server process over an SQLite file, for tests.

Run as a program it serves: ``python serving_store.py FOLDER PORT TOKEN ANY_BYTES``.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TOKEN = "a-token-for-tests"


class Served:
    """A server that can be killed and started again on the same port and the same folder.

    With *any_bytes* it takes bodies that are no events, as tests of stores append.
    """

    def __init__(self, folder: Path, *, any_bytes: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.any_bytes = any_bytes
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{TOKEN}@127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = [str(self.folder), str(self.port), TOKEN, str(int(self.any_bytes))]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, *arguments], stdout=log, stderr=log
            )
        until = time.monotonic() + 30
        while not self.healthy():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.02)

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/v1/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextlib.contextmanager
def serving(folder: Path, *, any_bytes: bool = False) -> Iterator[Served]:
    """Serve ``folder/luthier.db`` from a process of its own."""
    server = Served(folder, any_bytes=any_bytes)
    server.start()
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)


@contextlib.contextmanager
def served(folder: Path, *, any_bytes: bool = False) -> Iterator[str]:
    """Serve it; yield the URL for ``HTTPStore``."""
    with serving(folder, any_bytes=any_bytes) as server:
        yield server.url


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def main(folder: Path, port: int, token: str, any_bytes: bool) -> None:
    from luthier.app.server import application, serve
    from luthier.storage import SQLiteStore

    store = SQLiteStore(folder / "luthier.db")
    checkpoints = folder / "checkpoints"
    if any_bytes:
        from luthier.app.server.running import run

        run(application(store, token, checkpoints, check=bytes), "127.0.0.1", port)
    else:
        serve(store, "127.0.0.1", port, token, checkpoints)
    print("stopped in good order", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "1")
