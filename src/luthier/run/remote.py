"""A folder at a URL, by fsspec: few operations, each tried again when the network fails.

Object stores have no folders, and a file appears there whole or not at all. Elsewhere folders are made
first, and ``publish`` writes under another name and renames.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from luthier.errors import CheckpointError
from luthier.run.disk import is_full

PAUSES = (0.5, 2.0, 8.0)  # seconds before each further attempt
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
_FLAT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "r2", "memory"}
_HOPELESS = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    ImportError,
    ValueError,
    TypeError,
)
_Answer = TypeVar("_Answer")


class RemoteFolder:
    """The files under *url*; names are relative to it and use forward slashes.

    *options* go to the file system: credentials, ``endpoint_url``, and so on. The connection is made
    when it is first needed and again after a fork, which asynchronous file systems do not survive.

    Every method raises CheckpointError when a package is missing, when access is refused, and when
    the network still fails at the last attempt.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url.rstrip("/")
        self.shown = re.sub(r"//[^/@]*@", "//", self.url)  # a user's password stays out of messages
        self._options = dict(options or {})
        self._lock = threading.Lock()
        self._connection: tuple[int, Any, str] | None = None

    def sizes(self, folder: str) -> dict[str, int]:
        """Return all files under *folder*, their names relative to it, and their sizes in bytes."""

        def found() -> dict[str, dict[str, Any]]:
            files, root = self._connected()
            files.invalidate_cache()
            try:
                return files.find(f"{root}/{folder}", detail=True)
            except FileNotFoundError:
                if files.exists(f"{root}/{folder}"):
                    raise OSError("it changed while it was listed") from None
                return {}

        entries = self._tried(f"list {folder} in", found)
        start = f"{self._connected()[1]}/{folder}/".lstrip("/")
        names = {name.lstrip("/"): entry for name, entry in entries.items()}
        return {
            name.removeprefix(start): int(entry["size"] or 0)
            for name, entry in names.items()
            if name.startswith(start) and entry["type"] == "file" and not name.endswith("/")
        }

    def names(self) -> list[str]:
        """Return the names of what lies directly in the folder."""

        def found() -> list[dict[str, Any]]:
            files, root = self._connected()
            files.invalidate_cache()
            try:
                return files.ls(root, detail=True)
            except FileNotFoundError:
                return []

        return [
            entry["name"].rstrip("/").rpartition("/")[2] for entry in self._tried("list", found)
        ]

    def read(self, name: str) -> bytes | None:
        """Return the file's bytes; None when there is no such file."""

        def content() -> bytes | None:
            files, root = self._connected()
            try:
                return files.cat_file(f"{root}/{name}")
            except FileNotFoundError:
                return None

        return self._tried(f"read {name} in", content)

    def upload(self, sources: Mapping[str, Path]) -> None:
        """Copy local files to the names they are given for."""

        def put() -> None:
            files, root = self._connected()
            if self._has_folders():
                for parent in {name.rpartition("/")[0] for name in sources}:
                    files.makedirs(f"{root}/{parent}".rstrip("/"), exist_ok=True)
            files.put([str(p) for p in sources.values()], [f"{root}/{name}" for name in sources])

        if sources:
            self._tried(f"write {next(iter(sources))} to", put)

    def publish(self, name: str, content: bytes) -> None:
        """Write a small file so that it appears whole or not at all."""

        def put() -> None:
            files, root = self._connected()
            final = f"{root}/{name}"
            if not self._has_folders():
                files.pipe_file(final, content)
                return
            files.makedirs(final.rpartition("/")[0], exist_ok=True)
            temporary = f"{final}.{uuid.uuid4().hex[:8]}.tmp"
            files.pipe_file(temporary, content)
            files.mv(temporary, final)

        self._tried(f"write {name} to", put)

    def download(self, targets: Mapping[str, Path]) -> None:
        """Copy files to the local paths they are given with.

        Raises:
            CheckpointError: also when one of them does not exist, or the local disk is full.
        """

        def get() -> None:
            files, root = self._connected()
            for parent in {path.parent for path in targets.values()}:
                parent.mkdir(parents=True, exist_ok=True)
            files.get([f"{root}/{name}" for name in targets], [str(p) for p in targets.values()])

        if targets:
            self._tried(f"read {next(iter(targets))} in", get)

    def remove_file(self, name: str) -> None:
        """Delete one file, if it is there."""

        def remove() -> None:
            files, root = self._connected()
            with contextlib.suppress(FileNotFoundError):
                files.rm_file(f"{root}/{name}")

        self._tried(f"delete {name} in", remove)

    def remove_tree(self, name: str) -> None:
        """Delete all files under *name*, if there are any."""

        def remove() -> None:
            files, root = self._connected()
            with contextlib.suppress(FileNotFoundError):
                files.rm(f"{root}/{name}", recursive=True)

        self._tried(f"delete {name} in", remove)

    def _tried(self, what: str, call: Callable[[], _Answer]) -> _Answer:
        """Return what *call* returns, called again after each pause while the error may pass."""
        for pause in (*PAUSES, None):
            try:
                return call()
            except CheckpointError:
                raise
            except Exception as error:
                hopeless = isinstance(error, _HOPELESS) or is_full(error)
                if hopeless or pause is None or "Credentials" in type(error).__name__:
                    words = f"{type(error).__name__}: {error}".rstrip(". ")
                    if is_full(error):
                        words = f"the disk is full ({words})"
                    if pause is None:
                        words = f"{words}, at the last of {len(PAUSES) + 1} attempts"
                    raise CheckpointError(
                        f"Could not {what} {self.shown}: {words}. Nothing written before is lost: "
                        "run again when that is mended, and every trial goes on from its newest "
                        "checkpoint."
                    ) from error
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _has_folders(self) -> bool:
        protocol = self._connected()[0].protocol
        return not _FLAT & ({protocol} if isinstance(protocol, str) else set(protocol))

    def _connected(self) -> tuple[Any, str]:
        """Return this process's file system object and the folder's path in it."""
        with self._lock:  # two threads at once would make two of them
            return self._connect()

    def _connect(self) -> tuple[Any, str]:
        if self._connection is None or self._connection[0] != os.getpid():
            protocol = self.url.partition("://")[0]
            try:
                import fsspec.core

                files, root = fsspec.core.url_to_fs(
                    self.url, **self._options, skip_instance_cache=True
                )
            except (ImportError, ValueError) as error:
                extra = _EXTRAS.get(protocol, "urls")
                raise CheckpointError(
                    f"Cannot keep checkpoints at {self.shown}: {error}. {protocol}:// needs a package "
                    f"that knows it: pip install 'luthier[{extra}]'."
                ) from error
            self._connection = (os.getpid(), files, root.rstrip("/"))
        return self._connection[1:]
