"""Stores: where the logs of studies are kept."""

from __future__ import annotations

from pathlib import Path

from luthier.errors import StorageError
from luthier.storage.memory import MemoryStore
from luthier.storage.sqlite import SQLiteStore
from luthier.study.protocols import Store

DEFAULT = "luthier.db"


def open_store(storage: str | Path | Store | None = None, *, read_only: bool = False) -> Store:
    """Return the store that *storage* names.

    Args:
        storage: a path or ``sqlite:///path`` (relative with three slashes, absolute with four);
            ``"memory"``; a store; None for ``luthier.db`` in the working directory.
        read_only: never write, and refuse a file that does not exist.

    Raises:
        StorageError: a kind of store that this version does not have, or one that cannot be opened.
    """
    if storage is None:
        storage = DEFAULT
    if not isinstance(storage, str | Path):
        return storage
    text = str(storage)
    if text in ("memory", ":memory:", "memory://"):
        return MemoryStore()
    if text.startswith("sqlite:///"):
        text = text.removeprefix("sqlite:///")
    elif "://" in text:
        raise StorageError(
            f"Unknown storage {text!r}: expected a path such as 'luthier.db', "
            "'sqlite:///luthier.db' or 'memory'."
        )
    return SQLiteStore(text, read_only=read_only)


__all__ = ["DEFAULT", "MemoryStore", "SQLiteStore", "open_store"]
