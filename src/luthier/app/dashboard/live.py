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
_AGAIN = 5.0  # seconds after which a study that could not be read is looked at again
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
        """Yield an event whenever the study's log has grown, or cannot be read any more."""
        cursor = await run_in_threadpool(self._end_of, name)
        yield _event({"cursor": cursor})
        while not self._ended.is_set():
            await self._polls.wait(name, max(0, cursor), _QUIET)
            now = await run_in_threadpool(self._end_of, name)
            if self._ended.is_set():
                return
            yield _event({"cursor": now}) if now != cursor else b": quiet\n\n"
            cursor = now
            await self._nap(_APART if now >= 0 else _AGAIN)

    def _end_of(self, name: str) -> int:
        """Return the number of the log's last event; -1 where it cannot be read: who asks is told why."""
        try:
            return self._watch.study(name).refresh()
        except LuthierError:
            return -1

    async def studies(self) -> AsyncGenerator[bytes]:
        """Yield an event whenever any study's log has grown."""
        stamps, spoke = dict[str, str](), 0.0
        while not self._ended.is_set():
            names = await run_in_threadpool(self._names)
            now = {name: await run_in_threadpool(self._stamp, name) for name in names}
            if now != stamps or not spoke:
                yield _event({"studies": len(now)})
                stamps, spoke = now, time.monotonic()
            elif time.monotonic() - spoke > _QUIET:
                yield b": quiet\n\n"
                spoke = time.monotonic()
            await self._nap(_NAMES)

    def _names(self) -> list[str]:
        try:
            return self._watch.store.names()
        except LuthierError:
            return []

    def _stamp(self, name: str) -> str:
        """Return how far a study has come, or what is wrong with it: that must not hide the others' news."""
        try:
            return self._watch.stamp(name)
        except LuthierError as error:
            return str(error)

    async def _nap(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass


def _event(what: dict[str, int]) -> bytes:
    return b"data: " + as_json(what) + b"\n\n"
