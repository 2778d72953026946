"""Where the checkpoints of a study are."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit

from luthier.run.checkpoints import LocalCheckpoints
from luthier.storage import HTTPStore, PostgresStore, SQLiteStore
from luthier.study import events as ev
from luthier.study.protocols import Checkpoints, Store


def default_place(store: Store) -> str:
    """Return what a study made in *store* writes in its log when nobody said where; "" for beside it."""
    if isinstance(store, PostgresStore):
        return str(Path("luthier-checkpoints").absolute())
    return ""


def checkpoints_of(store: Store, header: ev.StudyCreated) -> Checkpoints:
    """Return the checkpoints of the study that begins with *header*, apart from any namesake's.

    Raises:
        CheckpointError: the package for this kind of URL is missing.
    """
    own = hashlib.blake2b(f"{header.name}\0{header.time!r}".encode(), digest_size=4).hexdigest()
    folder = f"{quote(header.name, safe=' ')[:80]}-{own}"
    if "://" in header.checkpoints:
        from luthier.run.url_checkpoints import URLCheckpoints

        return URLCheckpoints(f"{header.checkpoints.rstrip('/')}/{folder}")
    durable = isinstance(store, SQLiteStore) and store.durability == "power"
    if header.checkpoints:
        return LocalCheckpoints(Path(header.checkpoints) / folder, durable=durable)
    if isinstance(store, HTTPStore):
        from luthier.run.http_checkpoints import HTTPCheckpoints

        return HTTPCheckpoints(store, header.name)
    return LocalCheckpoints(working_folder(store) / folder, durable=durable)


def place(store: Store) -> str:
    """Return where the studies are, without passwords or tokens."""
    if isinstance(store, SQLiteStore):
        return str(store.path)
    parts = urlsplit(store.address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}" if parts.hostname else "memory"


def storage_option(store: Store) -> str:
    """Return what a command needs to find *store*: nothing where it looks by itself."""
    if isinstance(store, SQLiteStore) and store.path == Path("luthier.db").absolute():
        return ""
    return f" --storage {shlex.quote(place(store))}"


def logs_of(store: Store) -> Path:
    """Return the folder of what worker processes on this machine print."""
    return working_folder(store) / "logs"


def working_folder(store: Store) -> Path:
    """Return the folder of this machine for logs and, beside an SQLite file, for checkpoints."""
    if isinstance(store, SQLiteStore):
        return store.path.with_name(f"{store.path.stem}-checkpoints")
    return Path(tempfile.gettempdir()) / "luthier-checkpoints"
