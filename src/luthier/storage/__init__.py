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
_KINDS = (
    "a path such as 'luthier.db', 'sqlite:///luthier.db', 'postgresql://user@host/database', "
    "'http://host:port' (see luthier serve) or 'memory'"
)


def open_store(storage: str | Path | Store | None = None, *, read_only: bool = False) -> Store:
    """Return the store that *storage* names.

    Args:
        storage: a path or ``sqlite:///path`` (relative with three slashes, absolute with four), with
            ``?durability=power`` for appends that survive a power cut; ``postgresql://...``;
            ``http://token@host:port`` of a ``luthier serve``; ``"memory"``; a store; ``"env"`` for
            what the environment variable LUTHIER_STORAGE says; None for the same, or ``luthier.db`` in
            the working directory when it is not set.
        read_only: never write, and refuse a file that does not exist.

    Raises:
        StorageError: a kind of store that this version does not have, or one that cannot be opened.
    """
    if storage == "env" and VARIABLE not in os.environ:
        raise StorageError(f"The storage is 'env', but {VARIABLE} is not set: expected {_KINDS}.")
    worker = os.environ.get(WORKER) and isinstance(storage, str | Path)
    if (
        storage is None or storage == "env" or worker
    ):  # ``luthier worker`` says where for the script
        storage = os.environ.get(VARIABLE) or DEFAULT
    if not isinstance(storage, str | Path):
        return storage
    text = str(storage)
    if text in ("memory", ":memory:", "memory://"):
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


__all__ = [
    "DEFAULT",
    "VARIABLE",
    "WORKER",
    "HTTPStore",
    "MemoryStore",
    "PostgresStore",
    "SQLiteStore",
    "open_store",
    "without_secrets",
]
