"""Checkpoints behind a Luthier server, for workers that share no disk.

A checkpoint travels as one tar file with its manifest first, so that the step and the metrics of the
newest one are known without fetching all of it, and so that damage anywhere on the way is found
before training goes on from it. Which ones are kept is the rule of ``luthier.run.retention``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, cast

import msgspec

from luthier.errors import CheckpointError, StorageError
from luthier.run import manifests, tar_files
from luthier.run.deleting import Deleting
from luthier.run.disk import fresh_folder, refused_by_disk
from luthier.run.retention import KEEPERS, KEPT, Leaders, is_over
from luthier.storage.http import HTTPStore, study_path
from luthier.storage.http_connection import Away, Connection, Refused
from luthier.study.history import History

_UNPACKED = KEPT + 1  # fetched folders that stay readable; older ones make room
_BLOCK = 1 << 20


class _Trial(msgspec.Struct):
    trial: int
    steps: list[int]


class _Trials(msgspec.Struct):
    trials: list[_Trial]


class HTTPCheckpoints:
    """The checkpoints of *study* behind the server of *store*.

    Args:
        store: its address, token and patience are used.
        study: the study's name and what tells it from its namesakes, see ``places``.
    """

    remote: ClassVar[bool] = True

    def __init__(self, store: HTTPStore, study: str) -> None:
        # A connection of its own: an append must not stand behind gigabytes.
        self._connection = Connection(store.server, store.patience)
        self._path = f"{study_path(study)}/checkpoints"
        self._leaders = Leaders()
        self._deleting = Deleting(store.server.url)
        self._unpacked: list[tuple[int, Path]] = []  # by process: a fork's are the parent's

    def save(
        self,
        trial: int,
        step: int,
        write: Callable[[Path], object],
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Let *write* fill a fresh folder, then make it the checkpoint after *step*.

        Raises:
            CheckpointError: no room for it here or on the server, or the server stayed away. Earlier
                checkpoints stay.
        """
        folder = fresh_folder("save")
        try:
            write(folder)
            manifest = manifests.described(folder, step, metrics, seconds)
            with tempfile.TemporaryFile(dir=folder.parent) as archive:
                tar_files.pack(folder, archive, manifest)
                self._put(self._one(trial, step), archive)
        except Exception as error:
            away = isinstance(error, StorageError)
            why = str(error) if away else refused_by_disk(error, folder)
            if not why:
                raise
            raise CheckpointError(
                f"Could not keep the checkpoint of trial {trial} at step {step}: {why} "
                "Nothing written before is lost."
            ) from error
        finally:
            _delete(folder)

    def newest(self, trial: int, at_most: int | None = None) -> tuple[int, dict[str, float], float]:
        """Return step, metrics and seconds of the newest whole checkpoint; step 0 when none.

        Raises:
            StorageError: the server stayed away, or refused.
        """
        for step in sorted(self._trials().get(trial, ()), reverse=True):
            if at_most is not None and step > at_most:
                continue
            manifest = self._connection.patiently(lambda step=step: self._manifest(trial, step))
            if manifest is not None:
                return step, *manifests.reported(manifest)[1:]
        return 0, {}, 0.0

    def path(self, trial: int, step: int) -> Path:
        """Fetch the checkpoint; return a local folder, every file checked against its SHA-256.

        The folder lives as long as this process, unless newer ones make room for theirs.

        Raises:
            CheckpointError: it is missing or damaged, the server stayed away, or there is no room
                for it here.
        """
        folder = fresh_folder(f"trial-{trial:05d}-step-{step:06d}")
        archive = folder.with_name(f"{folder.name}.tar")
        try:
            self._connection.patiently(lambda: self._fetch(trial, step, archive))
            tar_files.unpack(archive, folder)
        except BaseException as error:
            _delete(folder)
            if words := self._unfetched(error, trial, step):
                raise CheckpointError(words) from error
            raise
        finally:
            archive.unlink(missing_ok=True)
        self._unpacked.append((os.getpid(), folder))
        while len(self._unpacked) > _UNPACKED:
            owner, oldest = self._unpacked.pop(0)
            if owner == os.getpid():
                _delete(oldest)
        return folder

    def keep(self, trial: int, steps: set[int]) -> None:
        """Delete the trial's checkpoints but those after *steps*; what stays is warned of once."""
        with self._deleting.warning():
            self._delete_all(trial, set(self._trials().get(trial, ())) - steps)

    def collect(self, history: History) -> None:
        """Delete what no trial can need any more; see the rule in ``luthier.run.retention``."""
        with self._deleting.warning():
            found = self._trials()
            kept = self._leaders.kept_steps(history, found)
            for number, steps in found.items():
                if is_over(history, number):
                    self._delete_all(number, set(steps) - kept.get(number, set()))

    # -- requests --------------------------------------------------------------------------------

    def _one(self, trial: int, step: int) -> str:
        return f"{self._path}/{trial}/{step}"

    def _put(self, path: str, archive: IO[bytes]) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        self._connection.patiently(lambda: self._connection.request("PUT", path, archive, headers))

    def _trials(self) -> dict[int, list[int]]:
        reply = self._connection.patiently(lambda: self._connection.request("GET", self._path))
        try:
            found = msgspec.json.decode(reply.body, type=_Trials)
        except msgspec.DecodeError as error:
            url = self._connection.server.url
            raise StorageError(f"{url} does not answer as a Luthier server ({error}).") from error
        return {one.trial: one.steps for one in found.trials}

    def _delete_all(self, trial: int, steps: set[int]) -> None:
        for step in sorted(steps):
            path = self._one(trial, step)
            self._connection.patiently(lambda path=path: self._connection.request("DELETE", path))

    def _manifest(self, trial: int, step: int) -> dict[str, Any] | None:
        """Return the manifest, having read little more than it; None when missing or damaged."""
        try:
            with self._connection.streaming("GET", self._one(trial, step)) as response:
                return tar_files.first_manifest(cast(IO[bytes], response))
        except Refused as refused:
            if refused.status != 404:
                raise
            return None  # somebody has deleted it since it was listed

    def _fetch(self, trial: int, step: int, archive: Path) -> None:
        # Opened first: an error of the local disk is none of the network, and not tried again.
        with archive.open("wb") as file:
            with self._connection.streaming("GET", self._one(trial, step)) as response:
                expected = int(response.headers["Content-Length"])
                while block := response.read(_BLOCK):
                    _write(file, block)
            if file.tell() != expected:
                raise Away("the connection broke in the middle of a checkpoint", sent=True)

    def _unfetched(self, error: BaseException, trial: int, step: int) -> str:
        """Return in words why ``path`` failed; "" when the error is to pass as it is."""
        url = self._connection.server.url
        if isinstance(error, tar_files.Damaged):
            return (
                f"The checkpoint of trial {trial} at step {step} is damaged: {error}. Delete it "
                f"(DELETE {url}{self._one(trial, step)}) and run again: the trial goes on from an "
                "earlier checkpoint."
            )
        if isinstance(error, Refused) and error.status == 404:
            return (
                f"Trial {trial} has no complete checkpoint of step {step} at {url}. Only {KEEPERS} "
                "keep theirs."
            )
        if isinstance(error, OSError) and not isinstance(error, CheckpointError):
            return f"Could not fetch the checkpoint of trial {trial} at step {step}: {error}"
        return ""


def _write(file: IO[bytes], block: bytes) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise CheckpointError(
            f"Could not unpack a checkpoint in {tempfile.gettempdir()}: {error}. Free space, or set "
            "TMPDIR to a folder with more of it."
        ) from error


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
