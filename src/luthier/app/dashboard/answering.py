"""Answers that are computed beside the event loop."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from luthier.app.dashboard.watched import as_json

Answered = TypeVar("Answered")

_WORTH_PACKING = 1400  # bytes: less than that is one packet anyway


async def answered(
    request: Request, question: Callable[[], Any], threads: CapacityLimiter | None = None
) -> Response:
    """Answer in a thread of its own, packed where that is worth it and understood.

    With *threads* it may take long: so many such answers at the same time, and none keeps the server from
    ending.
    """
    packs = "gzip" in request.headers.get("accept-encoding", "")

    def work() -> tuple[bytes, bool]:
        body = as_json(question())
        if packs and len(body) > _WORTH_PACKING:
            return gzip.compress(body, 1), True
        return body, False

    if threads is None:
        body, packed = await to_thread.run_sync(work)
    else:
        async with threads:
            body, packed = await beside(work)
    headers = {"content-encoding": "gzip"} if packed else {}
    return Response(body, media_type="application/json", headers=headers)


async def beside(question: Callable[[], Answered]) -> Answered:
    """Return what *question* answers in a daemon thread: unlike a pool's, it ends with the program."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answered] = loop.create_future()

    def tell(put: Callable[[Any], None], what: Any) -> None:
        if not answer.done():  # who asked may have gone
            put(what)

    def work() -> None:
        try:
            put, what = answer.set_result, question()
        except BaseException as error:
            put, what = answer.set_exception, error
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(tell, put, what)

    threading.Thread(target=work, daemon=True).start()
    return await answer
