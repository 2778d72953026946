"""Server-sent events: the page is told that there is something new, and asks for what it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from starlette.concurrency import run_in_threadpool

from luthier.app.dashboard.watched import Watch, as_json
from luthier.app.server.polls import Polls
from luthier.errors import LuthierError

_QUIET = (
    15.0  # seconds after which a line is sent though nothing is new: proxies cut silent streams
)
_APART = 0.5  # seconds between two events
_NAMES = 1.0  # seconds between two looks at all studies


class Live:
    """Open streams. They end at once when the server stops, by an event of their own.

    uvicorn waits for open answers before it stops, and these have no end; so it must be told first.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._polls = Polls(watch.store)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """End every stream; from here on none begins."""
        self._ended.set()
        self._polls.end()

    async def study(self, name: str) -> AsyncGenerator[bytes]:
        """Yield an event whenever the study's log has grown."""
        watched = self._watch.study(name)
        cursor = await run_in_threadpool(watched.refresh)
        yield _event({"cursor": cursor})
        while not self._ended.is_set():
            await self._polls.wait(name, cursor, _QUIET)
            now = await run_in_threadpool(watched.refresh)
            if self._ended.is_set():
                return
            yield _event({"cursor": now}) if now != cursor else b": quiet\n\n"
            cursor = now
            await self._nap(_APART)

    async def studies(self) -> AsyncGenerator[bytes]:
        """Yield an event whenever any study's log has grown."""
        store, cursors, spoke = self._watch.store, dict[str, int](), 0.0
        while not self._ended.is_set():
            try:
                names = await run_in_threadpool(store.names)
                new = [n for n in names if n not in cursors]
                for name in names:
                    since = cursors.get(name, 0)
                    page = await run_in_threadpool(store.wait, name, since, 0.0)
                    if page or name in new:
                        cursors[name] = await run_in_threadpool(self._watch.study(name).refresh)
                        new.append(name)
            except LuthierError:
                new = []
            if new or not spoke:
                yield _event({"studies": len(cursors)})
                spoke = time.monotonic()
            elif time.monotonic() - spoke > _QUIET:
                yield b": quiet\n\n"
                spoke = time.monotonic()
            await self._nap(_NAMES)

    async def _nap(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass


def _event(what: dict[str, int]) -> bytes:
    return b"data: " + as_json(what) + b"\n\n"
