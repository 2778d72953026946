"""Where the server keeps checkpoints: one tar file each.

Layout: ``<hash of the study's name>/<trial>-<step>.tar``, so that no text from outside ever becomes
part of a path. Luthier's own workers say the name with a mark of when the study was begun, so that one does
not find what an earlier study of its name has left. A file is written under a temporary name and renamed:
it is whole or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

_NAME = re.compile(r"([0-9]{1,9})-([0-9]{1,9})\.tar")
_TEMPORARY = ".upload-"
_ABANDONED_SECONDS = 24 * 3600.0


class CheckpointFiles:
    """The tar files under *root*, which is made when the first one comes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def trials(self, study: str) -> dict[int, list[int]]:
        """Return the steps of every trial that has a checkpoint, both in order."""
        try:
            names = os.listdir(self._folder(study))
        except FileNotFoundError:
            return {}
        found = [(int(m[1]), int(m[2])) for m in map(_NAME.fullmatch, names) if m]
        steps: dict[int, list[int]] = {}
        for trial, step in sorted(found):
            steps.setdefault(trial, []).append(step)
        return steps

    def open(self, study: str, trial: int, step: int) -> BinaryIO | None:
        """Return the checkpoint opened for reading; None when there is none."""
        try:
            return self._path(study, trial, step).open("rb")
        except FileNotFoundError:
            return None

    def delete(self, study: str, trial: int, step: int) -> None:
        """Delete the checkpoint if it is there."""
        self._path(study, trial, step).unlink(missing_ok=True)

    def upload(self, study: str, trial: int, step: int) -> Upload:
        """Return a file to write the checkpoint to.

        Raises:
            OSError: the folder cannot be written.
        """
        return Upload(self._path(study, trial, step))

    def delete_abandoned(self) -> None:
        """Delete the temporary files that a killed server left behind."""
        with contextlib.suppress(OSError):
            for left in self._root.glob(f"*/{_TEMPORARY}*"):
                if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    left.unlink()

    def _folder(self, study: str) -> Path:
        return self._root / hashlib.sha256(study.encode()).hexdigest()[:32]

    def _path(self, study: str, trial: int, step: int) -> Path:
        return self._folder(study) / f"{trial}-{step}.tar"


class Upload:
    """A file that becomes *final* when ``keep`` is called, and else vanishes at the end of ``with``."""

    def __init__(self, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        self._final = final
        self.size = 0
        handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=final.parent)
        self._handle, self._temporary = os.fdopen(handle, "wb"), Path(name)

    def write(self, chunk: bytes) -> None:
        """Write the next bytes."""
        self._handle.write(chunk)
        self.size += len(chunk)

    def keep(self) -> None:
        """Make it the checkpoint, in place of the one before."""
        self._handle.close()
        os.replace(self._temporary, self._final)

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete what was not kept."""
        with contextlib.suppress(OSError):  # a full disk fails once more as the buffer is flushed
            self._handle.close()
        self._temporary.unlink(missing_ok=True)
