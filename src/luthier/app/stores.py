"""The stores that commands open, for a person who waits: what is not there is said at once, and not made."""

from __future__ import annotations

import os
from pathlib import Path

from luthier.errors import StorageError
from luthier.storage import DEFAULT, VARIABLE, HTTPStore, open_store
from luthier.storage.http_connection import Away, Connection
from luthier.study.protocols import Store


def store_to_read(storage: str | None) -> Store:
    """Return the store that *storage* names (see ``open_store``), for a command that only reads.

    Raises:
        StorageError: there is none, it is a folder, or no server answers there.
    """
    return _answering(open_store(_no_folder(storage), read_only=True))


def store_to_steer(storage: str | None) -> Store:
    """Return the store that *storage* names, for a command that changes studies that are there.

    Raises:
        StorageError: there is none, it is a folder, or no server answers there.
    """
    open_store(_no_folder(storage), read_only=True).close()  # refuses a file that is not there
    return _answering(open_store(storage))


def store_to_make(storage: str | None) -> Store:
    """Return the store that *storage* names, made where it is a file that is not there yet.

    Raises:
        StorageError: it is a folder, or cannot be opened.
    """
    return open_store(_no_folder(storage))


def file_of(storage: str | None) -> Path | None:
    """Return the SQLite file that *storage* names; None for a store of another kind, or for none at all."""
    if storage == "env" and VARIABLE not in os.environ:
        return None
    if storage is None or storage == "env":
        storage = os.environ.get(VARIABLE) or DEFAULT
    text = storage.removeprefix("sqlite:///").partition("?durability=")[0]
    return None if "://" in text or text in ("memory", ":memory:") else Path(text).expanduser()


def _no_folder(storage: str | None) -> str | None:
    path = file_of(storage)
    if path is not None and path.is_dir():
        inside = path / DEFAULT
        then = f" Did you mean {str(inside)!r}?" if inside.is_file() else ""
        raise StorageError(
            f"{str(path)!r} is a folder: expected the file of studies, such as {str(inside)!r}.{then}"
        )
    return storage


def _answering(store: Store) -> Store:
    """Return *store* if it is no server's, or its server answers.

    Workers wait for a server that is away; somebody at a terminal would rather hear of it at once.
    """
    if isinstance(store, HTTPStore):
        connection = Connection(store.server, 0.0)
        try:
            connection.request("GET", "/v1/studies")
        except Away as away:
            raise StorageError(
                f"No server answers at {store.server.url} ({away}): start one there with `luthier serve`, "
                "or correct the address."
            ) from away
        finally:
            connection.close()
    return store
