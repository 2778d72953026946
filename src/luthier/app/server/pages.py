"""Cuts logs into pages that fit into an answer."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.study.protocols import PAGE, Store

PAGE_BYTES = 16 << 20

Events = list[tuple[int, bytes]]


@dataclass(frozen=True)
class Page:
    """Events in order; *more* when the client should ask again for those after the last of them."""

    events: Events
    more: bool


class Pages:
    """Reads logs page by page."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, study: str, since: int, limit: int = PAGE) -> Page:
        """Return the first events after *since*, at most *limit*; at least one if there is one."""
        limit = min(limit, PAGE)
        events = self._store.read(study, since, limit)
        cut = _fitting(events)
        return Page(events[:cut], more=cut < len(events) or len(events) == limit)


def _fitting(events: Events) -> int:
    size = 0
    for index, (_, body) in enumerate(events):
        size += len(body)
        if size > PAGE_BYTES and index > 0:
            return index
    return len(events)
