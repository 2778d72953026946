"""Long polls: however many clients wait for a study, one thread asks the store."""

from __future__ import annotations

import asyncio

import anyio
from anyio import to_thread

from luthier.errors import LuthierError
from luthier.study.protocols import Store

_SLICE = 0.5  # seconds: a thread that waits cannot be interrupted, and must not hold up the end
_THREADS = 64


class Polls:
    """Who waits for which study; lives in one event loop."""

    def __init__(self, store: Store) -> None:
        self.ended = False
        self._store = store
        self._waiting: dict[str, dict[asyncio.Future[None], int]] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        # Threads of its own: waiting must not take those that appends and reads run in.
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def wait(self, study: str, since: int, seconds: float) -> None:
        """Return when the log may hold events after *since*, after *seconds*, or at the end.

        It may return early for no reason: whoever calls it looks, and calls it again.
        """
        if self.ended:
            return
        woken = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(study, {})
        waiting[woken] = since
        if study not in self._watches:
            self._watches[study] = asyncio.create_task(self._watch(study))
        try:
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            pass
        finally:
            waiting.pop(woken, None)

    def wake(self, study: str) -> None:
        """Let all who wait for *study* look again."""
        for woken in self._waiting.pop(study, {}):
            if not woken.done():
                woken.set_result(None)

    def end(self) -> None:
        """Wake everybody; from here on nobody waits."""
        self.ended = True
        for study in list(self._waiting):
            self.wake(study)

    async def _watch(self, study: str) -> None:
        """Ask the store in slices for as long as somebody waits for *study*."""
        try:
            while waiting := self._waiting.get(study):
                since = min(waiting.values())
                try:
                    new = await to_thread.run_sync(
                        self._store.wait, study, since, _SLICE, limiter=self._threads
                    )
                except LuthierError:  # those who wait read next, and get the error told
                    await asyncio.sleep(_SLICE)
                    new = True
                if new:
                    self.wake(study)
        finally:
            del self._watches[study]
            self._waiting.pop(study, None)
