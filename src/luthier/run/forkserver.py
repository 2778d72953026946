"""A process that has imported the frameworks and forks workers on request.

Importing TensorFlow or PyTorch takes seconds; a fork of a process that has done so takes
milliseconds. The server only imports: no framework may start threads or touch a device before the
fork. Run as ``python -m luthier.run.forkserver FD``; it speaks JSON lines over the socket FD.

In:  ``{"preload": [...], "path": [...], "argv": [...], "order": file}``,
     then ``{"spawn": slot, "log": file, "env": {...}}``
Out: ``{"ready": true}``, ``{"spawned": slot, "pid": n}``, ``{"exited": slot, "code": n}`` (below 0: a signal)

The order is read once, at the start: whoever tidies temporary files may do so while a study runs for weeks.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

BROKEN = 70  # the exit code of a worker that raised before it could train
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the supervisor closes its end."""
    die_with_parent()
    # The supervisor decides what Ctrl-C means, and SIGTERM, which a cluster sends to all processes of a job:
    # without this server the workers would die before they have given their trials back.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    lines = Lines(connection)
    first = lines.wait()
    if first is None:
        return
    sys.path[:] = first["path"]
    sys.argv[:] = first[
        "argv"
    ]  # modules that the training code imports may read their options from it
    order = json.loads(Path(first["order"]).read_text())
    train = Path(order["train"]).read_bytes()
    _preload(first["preload"])
    lines.send({"ready": True})
    children: dict[int, int] = {}
    while True:
        connection.settimeout(0.05)
        request = lines.poll()
        if request is CLOSED:
            return
        if isinstance(request, dict):
            pid = _fork(request, connection, order, train)
            children[pid] = request["spawn"]
            lines.send({"spawned": request["spawn"], "pid": pid})
        for pid, code in _reap(children):
            lines.send({"exited": children.pop(pid), "code": code})


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux; elsewhere it does nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _preload(modules: list[str]) -> None:
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # the worker will say so, with the user's traceback
            traceback.print_exc()


def _fork(
    request: dict[str, Any], connection: socket.socket, order: dict[str, Any], train: bytes
) -> int:
    server = os.getpid()
    # Blocked, it waits for the worker to be ready for it; what we ignore would be lost before that.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with warnings.catch_warnings():
        # JAX warns at every fork; nothing but its import has happened here.
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid
    code = BROKEN
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        die_with_parent()
        if os.getppid() != server:  # it died before the kernel knew what we want
            os._exit(code)
        os.setsid()
        connection.close()
        _redirect(request["log"])
        os.environ.update(request["env"])
        from luthier.run.child import run

        code = run(order, train)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # no exit handlers of a server that the child is a copy of


def _redirect(log: str) -> None:
    """Send what the training code prints to the worker's log."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)


def _reap(children: dict[int, int]) -> list[tuple[int, int]]:
    ended: list[tuple[int, int]] = []
    for pid in list(children):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


class Closed:
    """What a connection says once the other end has closed it."""


CLOSED = Closed()


class Lines:
    """JSON lines over a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self._connection.setblocking(True)
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def wait(self) -> dict[str, Any] | None:
        """Return the next message, however long it takes; None when the other end has closed."""
        self._connection.setblocking(True)
        message = self.poll()
        while message is None:
            message = self.poll()
        return None if isinstance(message, Closed) else message

    def poll(self) -> dict[str, Any] | Closed | None:
        """Return a message, None when none came within the socket's timeout, or CLOSED."""
        while b"\n" not in self._buffer:
            try:
                data = self._connection.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            except ConnectionError:
                return CLOSED
            if not data:
                return CLOSED
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)


if __name__ == "__main__":
    main()
