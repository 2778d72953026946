"""A real web server that hands out real files, well or badly."""

from __future__ import annotations

import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from luthier.datasets import fashion

NAMES = [f"{file.name}.gz" for file in fashion.FILES]


class Server(ThreadingHTTPServer):
    """Serves a folder; what it does wrong is set by the test."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.ranges = True  # honours the Range header
        self.cut: int | None = None  # closes the connection after that many bytes of a body
        self.cuts = 1  # how often, for each path
        self.change: Callable[[bytes], bytes] = bytes  # of a whole file
        self.before_end: Callable[[], object] = lambda: None  # runs when a body has been written
        self.requests: list[tuple[str, str | None, int]] = []  # path, Range, status

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def asked(self, name: str) -> list[tuple[str | None, int]]:
        return [(wanted, status) for path, wanted, status in self.requests if path == f"/{name}"]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        file = self.server.folder / self.path.lstrip("/")
        if not file.is_file():
            return self.begin(404, {"Content-Length": "0"})
        body = self.server.change(file.read_bytes())
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(wanted[1]) if wanted and self.server.ranges else 0
        if start >= len(body):
            return self.begin(416, {"Content-Range": f"bytes */{len(body)}"})
        headers = {"Content-Length": str(len(body) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.begin(206 if start else 200, headers)
        done = len(self.server.asked(self.path.lstrip("/")))
        cut = self.server.cut if done <= self.server.cuts else None
        self.wfile.write(body[start : None if cut is None else start + cut])
        self.wfile.flush()
        self.server.before_end()
        self.close_connection = True
        return None

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.server.requests.append((self.path, self.headers.get("Range"), status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
