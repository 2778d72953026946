"""Where the checkpoints of a study are."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

from luthier.errors import CheckpointError
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

        return HTTPCheckpoints(store, folder)
    return LocalCheckpoints(working_folder(store) / folder, durable=durable)


def check_place(checkpoints: Checkpoints) -> None:
    """Find out before anything is trained whether checkpoints can be written where a URL leads.

    Raises:
        CheckpointError: a package is missing, access is refused, nothing answers.
    """
    if (check := getattr(checkpoints, "check", None)) is not None:
        check()


def place(store: Store) -> str:
    """Return where the studies are, without passwords or tokens."""
    if isinstance(store, SQLiteStore):
        return str(store.path)
    scheme, mark, rest = store.address.partition("://")
    if not mark:
        return "memory"
    # A password may hold whatever else parts an address; a host does not.
    where = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{where}"


def storage_option(store: Store) -> str:
    """Return what a command needs to find *store*: nothing where it looks by itself."""
    if isinstance(store, SQLiteStore) and store.path == Path("luthier.db").resolve():
        return ""
    return f" --storage {shlex.quote(place(store))}"


def logs_of(store: Store) -> Path:
    """Return the folder of what worker processes on this machine print."""
    return working_folder(store) / "logs"


def working_folder(store: Store) -> Path:
    """Return the folder of this machine for logs, scripts and, where nobody said, for checkpoints.

    Beside an SQLite file. For a server a temporary one, the same for all processes of this user on this
    machine; for a store in memory one that is this process's alone.

    Raises:
        CheckpointError: no folder can be made there, or it belongs to somebody else.
    """
    if isinstance(store, SQLiteStore):
        return store.path.with_name(f"{store.path.stem}-checkpoints")
    if store.address == "memory":
        return _own_folder() / f"memory-{os.getpid()}"
    without_password = re.sub(r"//[^/@]*@", "//", store.address)
    return _own_folder() / hashlib.blake2b(without_password.encode(), digest_size=8).hexdigest()


def _own_folder() -> Path:
    """Return this user's folder among the temporary files of all; nobody else can read or write there."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"luthier-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not hasattr(os, "getuid"):
            return folder  # Windows: a temporary folder is a user's own
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == user
        if ours and stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        raise CheckpointError(
            f"Cannot make the folder {folder} for logs and checkpoints: {error}. Set TMPDIR to a folder "
            "that can be written to."
        ) from error
    if not ours:
        raise CheckpointError(
            f"{folder} is not what Luthier made there: expected a folder of user {user} for logs and "
            "checkpoints. Delete it, or set TMPDIR to a folder of your own."
        )
    return folder
