"""Stores: where the logs of studies are kept."""

from __future__ import annotations

import os
from pathlib import Path

from luthier.errors import StorageError
from luthier.storage.addresses import without_secrets
from luthier.storage.http import HTTPStore
from luthier.storage.memory import MemoryStore
from luthier.storage.postgres import PostgresStore
from luthier.storage.sqlite import SQLiteStore
from luthier.study.protocols import Store

DEFAULT = "luthier.db"
VARIABLE = "LUTHIER_STORAGE"
WORKER = "LUTHIER_WORKER"
_SCHEMES = ("postgresql:", "postgres:", "http:", "https:", "sqlite:")
_MEMORY = ("memory", ":memory:", "memory://")
_KINDS = (
    "a path such as 'luthier.db', 'sqlite:///luthier.db', 'postgresql://user@host/database', "
    "'http://host:port' (see luthier serve) or 'memory'"
)


def open_store(
    storage: str | Path | Store | None = None, *, read_only: bool = False, as_said: bool = False
) -> Store:
    """Return the store that *storage* names; in a script of ``luthier worker`` the worker's in its place.

    Args:
        storage: a path or ``sqlite:///path`` (relative with three slashes, absolute with four), with
            ``?durability=power`` for appends that survive a power cut; ``postgresql://...``;
            ``http://token@host:port`` of a ``luthier serve``; ``"memory"``; a store; ``"env"`` for
            what the environment variable LUTHIER_STORAGE says; None for the same, or ``luthier.db`` in
            the working directory when it is not set.
        read_only: never write, and refuse a file that does not exist.
        as_said: the store that is named also in a script of ``luthier worker``.

    Raises:
        StorageError: a kind of store that this version does not have, or one that cannot be opened.
    """
    if storage == "env" and VARIABLE not in os.environ:
        raise StorageError(f"The storage is 'env', but {VARIABLE} is not set: expected {_KINDS}.")
    if storage is None or storage == "env" or (is_replaced(storage) and not as_said):
        storage = os.environ.get(VARIABLE) or DEFAULT
    if not isinstance(storage, str | Path):
        return storage
    text = str(storage)
    if text in _MEMORY:
        return MemoryStore()
    if text.startswith(("postgresql://", "postgres://")):
        return PostgresStore(text, read_only=read_only)
    if text.startswith(("http://", "https://")):
        return HTTPStore(text)
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif "://" in text or text.startswith(_SCHEMES):  # the latter lacks a slash
        raise StorageError(f"Unknown storage {without_secrets(text)!r}: expected {_KINDS}.")
    path, _, option = text.partition("?durability=")
    durability = option or "process"
    return SQLiteStore(path, read_only=read_only, durability=durability)  # type: ignore[arg-type]


def is_replaced(storage: str | Path | Store | None) -> bool:
    """Return whether *storage* names a store in whose place ``luthier worker`` has its own.

    What a script keeps in memory is no study that machines share.
    """
    named = isinstance(storage, str | Path) and str(storage) not in ("env", *_MEMORY)
    return named and bool(os.environ.get(WORKER))


__all__ = [
    "DEFAULT",
    "VARIABLE",
    "WORKER",
    "HTTPStore",
    "MemoryStore",
    "PostgresStore",
    "SQLiteStore",
    "is_replaced",
    "open_store",
    "without_secrets",
]
