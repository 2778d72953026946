"""Where a study is kept: Optuna's words for it, turned into an address of Luthier's."""

from __future__ import annotations

import sqlite3
import uuid
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from luthier.compat.optuna.missing import absent
from luthier.compat.optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)
from luthier.errors import LuthierWarning, StorageError
from luthier.storage import open_store, without_secrets
from luthier.storage.memory import MemoryStore
from luthier.study.protocols import Store

_IN_MEMORY = ("sqlite:///:memory:", "sqlite://")  # SQLAlchemy's words for it


class BaseStorage:
    """A store, by its address.

    Attributes:
        address: of Luthier's store.
        store: what is kept in memory, as long as this object; None for what is kept elsewhere.
    """

    address = "memory"
    store: MemoryStore | None = None


class InMemoryStorage(BaseStorage):
    """Kept as long as this object."""

    def __init__(self) -> None:
        self.store = MemoryStore()


class RDBStorage(BaseStorage):
    """A database by its URL: SQLite or PostgreSQL.

    What concerns SQLAlchemy and heartbeats is accepted, with a warning that it has no effect: a trial is
    held by a lease, which another process takes over when its worker is gone.

    Raises:
        TypeError: no text as URL.
        StorageError: an interval or a period that is not above 0; both callbacks.
    """

    def __init__(
        self,
        url: str,
        engine_kwargs: Mapping[str, Any] | None = None,
        skip_compatibility_check: bool = False,
        *,
        heartbeat_interval: int | None = None,
        grace_period: int | None = None,
        heartbeat_stale_trial_callback: Callable[[Any, Any], None] | None = None,
        failed_trial_callback: Callable[[Any, Any], None] | None = None,
        skip_table_creation: bool = False,
    ) -> None:
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"RDBStorage({url!r}): expected a text such as 'sqlite:///study.db'.")
        for name, value in (
            ("heartbeat_interval", heartbeat_interval),
            ("grace_period", grace_period),
        ):
            if value is not None and value <= 0:
                raise StorageError(f"RDBStorage: {name} must be above 0, got {value!r}.")
        if heartbeat_stale_trial_callback is not None and failed_trial_callback is not None:
            raise StorageError(
                "RDBStorage: give heartbeat_stale_trial_callback= or its older name, "
                "failed_trial_callback=, not both."
            )
        _warn_unused(
            "RDBStorage",
            {
                "engine_kwargs": engine_kwargs,
                "skip_compatibility_check": skip_compatibility_check,
                "heartbeat_interval": heartbeat_interval,
                "grace_period": grace_period,
                "heartbeat_stale_trial_callback": heartbeat_stale_trial_callback,
                "failed_trial_callback": failed_trial_callback,
                "skip_table_creation": skip_table_creation,
            },
        )
        self.address = url
        if url in _IN_MEMORY:
            self.store = MemoryStore()


JournalFileStorage = JournalFileBackend


class JournalStorage(BaseStorage):
    """A journal; here an SQLite file beside the one it names, which many processes may write to.

    Attributes:
        journal: the path of the file that it names, which Optuna itself may have written.

    Raises:
        TypeError: no journal's file.
    """

    def __init__(self, log_storage: JournalFileBackend) -> None:
        if not isinstance(log_storage, JournalFileBackend):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"JournalStorage({log_storage!r}): expected a journal.JournalFileBackend('study.log')."
            )
        self.journal = log_storage.file_path
        path = Path(self.journal)
        self.address = str(path.with_name(path.name + ".luthier.db"))


class RetryHeartbeatStaleTrialCallback:
    """Asks for what Luthier does anyway: a trial whose worker is gone is run again."""

    def __init__(
        self, max_retry: int | None = None, inherit_intermediate_values: bool = False
    ) -> None:
        self.max_retry = max_retry
        self.inherit_intermediate_values = inherit_intermediate_values

    def __call__(self, study: Any, trial: Any) -> None:
        """Do nothing: the trial's lease has run out, and another process takes it over."""

    @staticmethod
    def retried_trial_number(trial: Any) -> int | None:
        """Return None: a trial that is run again keeps its number."""
        return None

    @staticmethod
    def retry_history(trial: Any) -> list[int]:
        """Return no numbers, likewise."""
        return []


RetryFailedTrialCallback = RetryHeartbeatStaleTrialCallback


def get_storage(storage: str | BaseStorage | None) -> BaseStorage:
    """Return the storage that an address means; one that is a storage already stays what it is.

    Raises:
        TypeError: neither an address nor a storage.
    """
    if storage is None:
        return InMemoryStorage()
    if isinstance(storage, str):
        return RDBStorage(storage)
    if not isinstance(storage, BaseStorage):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"get_storage({storage!r}): expected a URL, a storage, or None.")
    return storage


def _warn_unused(owner: str, given: Mapping[str, Any]) -> None:
    """Warn of what was given and has no effect, all of it at once."""
    names = [name for name, value in given.items() if value]
    if names:
        warnings.warn(
            f"{owner}: {', '.join(names)} has no effect here. Luthier needs no SQLAlchemy, and knows by "
            "leases whose worker is gone: such a trial is run again by another process.",
            LuthierWarning,
            stacklevel=3,
        )


def store_of(storage: str | BaseStorage | Store | None) -> Store:
    """Return Luthier's store for what a script gave as ``storage=``.

    Raises:
        StorageError: a kind of database that Luthier does not write, or a file of Optuna's own.
    """
    if storage is None or storage in _IN_MEMORY:
        return MemoryStore()
    if isinstance(storage, BaseStorage) and storage.store is not None:
        return storage.store
    address = storage.address if isinstance(storage, BaseStorage) else storage
    if not isinstance(address, str):
        return address
    if address.startswith(("mysql", "redis", "mssql", "oracle")):
        raise StorageError(
            f"{without_secrets(address)!r}: expected an SQLite file (sqlite:///study.db) or PostgreSQL "
            "(postgresql://user@host/database)."
        )
    address = without_driver(address)
    path = sqlite_path(address)
    if path is not None and is_optunas(path):
        raise StorageError(
            f"{path} is a database of Optuna's own: take its studies over with\n"
            f"    luthier import optuna sqlite:///{path}\n"
            "and give this script another file, such as storage='sqlite:///luthier.db'."
        )
    return open_store(address)


def without_driver(address: str) -> str:
    """Return a URL without the driver that SQLAlchemy takes for PostgreSQL, such as psycopg2."""
    for driver in ("postgresql+psycopg2", "postgresql+psycopg", "postgresql+pg8000"):
        if address.startswith(f"{driver}://"):
            return address.replace(driver, "postgresql", 1)
    return address


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
    "JournalFileOpenLock",
    "JournalFileStorage",
    "JournalFileSymlinkLock",
    "JournalStorage",
    "RDBStorage",
    "RetryFailedTrialCallback",
    "RetryHeartbeatStaleTrialCallback",
    "get_storage",
]
__getattr__ = absent("storages", lambda: __all__)
