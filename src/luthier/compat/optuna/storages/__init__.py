"""Where a study is kept: Optuna's words for it, turned into an address of Luthier's."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Any

from luthier.compat.optuna.storages.journal import JournalFileBackend
from luthier.errors import StorageError
from luthier.storage import open_store
from luthier.storage.memory import MemoryStore
from luthier.study.protocols import Store


class BaseStorage:
    """A store, by its address."""

    address = "memory"


class InMemoryStorage(BaseStorage):
    """Kept as long as this object."""

    def __init__(self) -> None:
        self.store = MemoryStore()


class RDBStorage(BaseStorage):
    """A database by its URL: SQLite or PostgreSQL."""

    def __init__(self, url: str, *_: Any, **__: Any) -> None:
        self.address = url


JournalFileStorage = JournalFileBackend


class JournalStorage(BaseStorage):
    """A journal; here an SQLite file beside the one it names, which many processes may write to."""

    def __init__(self, log_storage: JournalFileBackend) -> None:
        path = Path(log_storage.file_path)
        self.address = str(path.with_name(path.name + ".luthier.db"))


def store_of(storage: str | BaseStorage | Store | None) -> Store:
    """Return Luthier's store for what a script gave as ``storage=``.

    Raises:
        StorageError: a kind of database that Luthier does not write, or a file of Optuna's own.
    """
    if storage is None:
        return MemoryStore()
    if isinstance(storage, InMemoryStorage):
        return storage.store
    address = storage.address if isinstance(storage, BaseStorage) else storage
    if not isinstance(address, str):
        return address
    if address.startswith(("mysql", "redis", "mssql", "oracle")):
        raise StorageError(
            f"{address!r}: expected an SQLite file (sqlite:///study.db) or PostgreSQL "
            "(postgresql://user@host/database)."
        )
    for driver in ("postgresql+psycopg2", "postgresql+psycopg", "postgresql+pg8000"):
        if address.startswith(f"{driver}://"):
            address = address.replace(driver, "postgresql", 1)
    path = sqlite_path(address)
    if path is not None and is_optunas(path):
        raise StorageError(
            f"{path} is a database of Optuna's own: take its studies over with\n"
            f"    luthier import optuna sqlite:///{path}\n"
            "and give this script another file, such as storage='sqlite:///luthier.db'."
        )
    return open_store(address)


def sqlite_path(address: str) -> Path | None:
    """Return the file that *address* means; None when it is no file."""
    if address.startswith("sqlite:///"):
        return Path(address.removeprefix("sqlite:///").partition("?")[0])
    return None if "://" in address else Path(address)


def is_optunas(path: Path) -> bool:
    """Return whether *path* is an SQLite file with Optuna's tables."""
    if not path.is_file():
        return False
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            names = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE name IN ('studies', 'trial_params')"
            ).fetchone()
    except sqlite3.Error:
        return False
    return names[0] == 2


def new_name() -> str:
    """Return the name of a study that was given none."""
    return f"no-name-{uuid.uuid4()}"


__all__ = [
    "BaseStorage",
    "InMemoryStorage",
    "JournalFileBackend",
    "JournalFileStorage",
    "JournalStorage",
    "RDBStorage",
]
