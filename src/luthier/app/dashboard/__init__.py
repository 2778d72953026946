"""The dashboard: a page that shows the studies of any storage while they run, and steers them.

Starlette and uvicorn are imported when it is started, so that ``import luthier`` needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from luthier.app.extras import installed
from luthier.study.protocols import Store

if TYPE_CHECKING:
    from starlette.applications import Starlette


def application(
    store: Store,
    *,
    writable: Callable[[], Store] | None = None,
    token: str = "",
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1"),
) -> Starlette:
    """Return the ASGI application that shows the studies of *store*.

    Args:
        store: read, never written.
        writable: opens the same store for writing, when somebody steers; None only looks on.
        token: what browsers must bring, once, as ``?token=``; "" lets everybody in.
        hosts: names that the Host header may have; () any, which only a token makes safe.

    Raises:
        LuthierError: Starlette is not installed.
    """
    with installed("The dashboard", "dashboard"):
        from luthier.app.dashboard.routes import Dashboard
        from luthier.app.dashboard.steering import Helm
    helm = Helm(writable) if writable is not None else None
    return Dashboard(store, helm).application(token, hosts)


def serve(
    application: Starlette, host: str, port: int, ready: Callable[[], object] | None = None
) -> None:
    """Serve the dashboard on *host*:*port* until SIGINT or SIGTERM; *ready* is called once it listens.

    Raises:
        LuthierError: uvicorn is not installed, or the port cannot be listened on.
    """
    with installed("The dashboard", "dashboard"):
        from luthier.app.server.running import run
    application.state.service.warm()
    run(application, host, port, ready)


__all__ = ["application", "serve"]
