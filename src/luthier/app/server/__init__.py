"""The server of the HTTP store: studies for machines that share no disk and no database.

It stands before any other store and adds nothing to what a log means. Starlette and uvicorn are
imported when a server is made, so that ``import luthier`` needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.app.extras import installed
from luthier.study import events
from luthier.study.protocols import Store

if TYPE_CHECKING:
    from starlette.applications import Starlette

MAX_BODY = 64 << 20
MAX_CHECKPOINT = 16 * 10**9


def application(
    store: Store,
    token: str,
    checkpoints: Path,
    *,
    max_body: int = MAX_BODY,
    max_checkpoint: int = MAX_CHECKPOINT,
    check: Callable[[bytes], object] = events.decode,
) -> Starlette:
    """Return the ASGI application that serves *store*.

    Args:
        store: where the logs are kept; only this application should close it.
        token: what every request must carry as ``Authorization: Bearer TOKEN``.
        checkpoints: the folder for the checkpoints of workers; made when the first one comes.
        max_body: bytes of the largest request but for checkpoints.
        max_checkpoint: bytes of the largest checkpoint.
        check: called with each event's body; raises msgspec.DecodeError or ValueError when it is none.

    Raises:
        LuthierError: Starlette is not installed, or the token is empty or no plain ASCII.
    """
    with installed("Serving studies", "serve"):
        from luthier.app.server.service import Limits, Service
    return Service(store, token, checkpoints, Limits(max_body, max_checkpoint), check).application()


def serve(
    store: Store,
    host: str,
    port: int,
    token: str,
    checkpoints: Path,
    ready: Callable[[], object] | None = None,
    *,
    max_checkpoint: int = MAX_CHECKPOINT,
) -> None:
    """Serve *store* on *host*:*port* until SIGINT or SIGTERM, then return.

    Open long polls are answered at once when it stops; uploads get a few seconds to end. *ready* is called
    as soon as the port is ours: whoever connects from then on is answered. *max_checkpoint* is in bytes.

    Raises:
        LuthierError: Starlette or uvicorn is not installed, the token is empty or no plain ASCII,
            or the port cannot be listened on.
    """
    with installed("Serving studies", "serve"):
        from luthier.app.server.running import run
    served = application(store, token, checkpoints, max_checkpoint=max_checkpoint)
    run(served, host, port, ready)


__all__ = ["MAX_BODY", "MAX_CHECKPOINT", "application", "serve"]
