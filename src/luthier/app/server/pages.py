"""Cuts logs into pages that fit into an answer."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from luthier.study.protocols import Store

PAGE_EVENTS = 50_000
PAGE_BYTES = 16 << 20
_TAILS = 4

Events = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Page:
    """Events in order; *more* when the client should ask again for those after the last of them."""

    events: Events
    more: bool


class Pages:
    """Reads logs page by page.

    A store reads to the end of the log, so that a log of k pages would be read k times over. What was
    left of a cut page is therefore kept for the client's next question, for a few logs at a time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tails: dict[tuple[str, int], Events] = {}

    def read(self, study: str, since: int, limit: int = PAGE_EVENTS) -> Page:
        """Return the first events after *since*, at most *limit*; at least one if there is one."""
        events = self._tails.pop((study, since), None)
        kept = events is not None
        if events is None:
            events = self._store.read(study, since)
        cut = _fitting(events, min(limit, PAGE_EVENTS))
        if cut == len(events):
            # A kept tail ends where the log ended a while ago: the client must look again.
            return Page(events, more=kept)
        if limit >= PAGE_EVENTS:
            self._keep((study, events[cut - 1][0]), events[cut:])
        return Page(events[:cut], more=True)

    def _keep(self, key: tuple[str, int], tail: Events) -> None:
        self._tails[key] = tail
        # Several threads may do this at once: one of them finds nothing left to forget.
        with contextlib.suppress(KeyError, StopIteration, RuntimeError):
            while len(self._tails) > _TAILS:
                self._tails.pop(next(iter(self._tails)))


def _fitting(events: Events, limit: int) -> int:
    size = 0
    for index, (_, body) in enumerate(events):
        size += len(body)
        if index == limit or (size > PAGE_BYTES and index > 0):
            return index
    return len(events)
