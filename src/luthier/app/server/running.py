"""Runs the application under uvicorn, and stops it at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from luthier.errors import LuthierError

_KEEP_ALIVE_SECONDS = 75  # longer than clients keep an idle connection: they close it, not we
_UPLOAD_SECONDS = 5


class _Server(uvicorn.Server):
    """A uvicorn that ends long polls before it waits for open requests.

    Left alone, it would wait for them until they time out, and then raise the signal once more.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; at the second signal without waiting for anything."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the open long polls, then stop as uvicorn does."""
        self.config.app.state.service.end()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def run(
    application: Starlette, host: str, port: int, ready: Callable[[], object] | None = None
) -> None:
    """Serve until a signal comes; *ready* is called as soon as the port is ours.

    Raises:
        LuthierError: the port cannot be listened on.
    """
    listening = _listening(host, port)
    config = uvicorn.Config(
        application,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_UPLOAD_SECONDS,
    )
    with listening:
        if ready is not None:
            ready()
        _Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sends small answers at once only where it is: else each
    # answer waits 40 ms for the client's acknowledgement of its first half.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two programs have the same port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise LuthierError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another port, or "
            "stop the program that holds it."
        ) from error
    return listening
