"""Checkpoints as tar files, the manifest first: a reader of the beginning knows what is inside."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from luthier.errors import CheckpointError
from luthier.run import manifests
from luthier.run.manifests import MANIFEST

_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_LONGEST_MANIFEST = 64 << 20


class Damaged(Exception):
    """The tar file is not the one that was written; says where."""


def pack(folder: Path, archive: IO[bytes], manifest: Mapping[str, Any]) -> None:
    """Write *manifest* and what lies in *folder* to *archive*.

    Raises:
        OSError: a file cannot be read, or the disk is full.
    """
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        text = manifests.encoded(manifest)
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(text)
        tar.addfile(head, io.BytesIO(text))
        for name in manifest["folders"]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name in manifest["files"]:
            with (folder / name).open("rb") as file:
                entry = tarfile.TarInfo(name)  # without owner and times: nobody needs them there
                entry.size = manifest["files"][name][0]
                tar.addfile(entry, file)


def first_manifest(stream: IO[bytes]) -> dict[str, Any] | None:
    """Return the manifest at the beginning of a tar file, None when there is none; reads no further.

    Raises:
        OSError: reading the stream failed.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=tarfile.BLOCKSIZE) as tar:
            head = tar.next()
            if head is None or head.name != MANIFEST or head.size > _LONGEST_MANIFEST:
                return None
            file = tar.extractfile(head)
            return manifests.decoded(file.read()) if file else None
    except tarfile.TarError:
        return None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a checkpoint into the empty *folder*, and check every file against its SHA-256.

    Raises:
        Damaged: the archive holds anything but plain files and folders, or not what was written.
        OSError: the disk is full.
        CheckpointError: this Python unpacks without checks of its own.
    """
    if not hasattr(tarfile, "data_filter"):
        raise CheckpointError(
            "This Python is too old to unpack checkpoints safely: upgrade it to 3.11.4 or newer."
        )
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                if member.type not in _PLAIN:
                    raise Damaged(f"{member.name!r} is neither a file nor a folder")
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise Damaged(f"its tar file cannot be read ({error})") from error
    manifest = manifests.read_manifest(folder)
    if manifest is None:
        raise Damaged(f"its {MANIFEST} is missing or does not fit the files")
    if names := manifests.damaged(folder, manifest):
        raise Damaged(f"{names[0]!r} has another SHA-256 than when it was written")
    known = {MANIFEST, *manifest["files"]}
    found = {p.relative_to(folder).as_posix() for p in manifests.files_in(folder)}
    if strange := found - known:
        raise Damaged(f"{min(strange)!r} was not written by who made it")
