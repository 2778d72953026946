"""Reads whole logs, page by page, and copies them."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec

from luthier.errors import StorageError
from luthier.study import events as ev
from luthier.study.protocols import PAGE, Conflict, Store

_BATCH = 5_000


def read_bodies(store: Store, name: str, since: int = 0) -> Generator[tuple[int, bytes]]:
    """Yield the events of a study after *since* as they are written."""
    while page := store.read(name, since):
        yield from page
        since = page[-1][0]
        if len(page) < PAGE:
            return


def read_log(store: Store, name: str) -> Generator[tuple[int, ev.AnyEvent]]:
    """Yield every event of a study.

    Raises:
        StorageError: an event that this version of Luthier cannot read.
    """
    for number, body in read_bodies(store, name):
        yield number, decoded(name, number, body)


def decoded(name: str, number: int, body: bytes) -> ev.AnyEvent:
    """Return the event that *body* holds.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return ev.decode(body)
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"Event {number} of study {name!r} cannot be read ({error}): the store is damaged, or was "
            "written by a newer luthier; upgrade luthier."
        ) from error


def decoded_all(name: str, numbers: Sequence[int], bodies: Sequence[bytes]) -> list[ev.AnyEvent]:
    """Return the events that *bodies* hold, which takes half as long as one after another.

    Raises:
        StorageError: one of them cannot be read.
    """
    try:
        return ev.decode_all(bodies)
    except msgspec.MsgspecError:
        return [decoded(name, number, body) for number, body in zip(numbers, bodies, strict=True)]


def copy_log(source: Store, target: Store, name: str) -> int:
    """Copy a study to another store and return how many events were copied.

    What is there already must be the beginning of what is copied.

    Raises:
        StorageError: the target holds another study of that name, or somebody writes to it.
    """
    there = 0
    for number, body in read_bodies(target, name):
        if source.read(name, number - 1, limit=1) != [(number, bytes(body))]:
            raise StorageError(
                f"The target has another study {name!r}: event {number} differs. Copy into an empty "
                "store."
            )
        there = number
    batch: list[bytes] = []
    copied = 0
    for _, body in read_bodies(source, name, there):
        batch.append(bytes(body))
        if len(batch) == _BATCH:
            copied += _append(target, name, batch, there + copied)
            batch = []
    if batch:
        copied += _append(target, name, batch, there + copied)
    return copied


def _append(target: Store, name: str, batch: list[bytes], expect: int) -> int:
    try:
        target.append(name, batch, expect)
    except Conflict as error:
        raise StorageError(f"Somebody else writes to study {name!r} in the target.") from error
    return len(batch)
