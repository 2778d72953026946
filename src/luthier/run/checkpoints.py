"""Checkpoints in a local folder: all or nothing, checked when read, deleted when nobody needs them.

Layout: ``trial-00007/step-000003/`` holds what the training code wrote, and ``manifest.json`` with
the step's metrics and each file's size and SHA-256. A checkpoint is written under a temporary name
and renamed; one without a manifest, or with files of other sizes, does not exist.

Disk use is bounded: a trial that may go on keeps its newest and its best checkpoint, an ended one
its best if it is among the ``KEPT`` best trials or on the front, else nothing; see ``retention``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from luthier.errors import CheckpointError
from luthier.run import manifests
from luthier.run.deleting import Deleting
from luthier.run.disk import flush, flush_tree, refused_by_disk
from luthier.run.manifests import MANIFEST
from luthier.run.retention import KEEPERS, Leaders, is_over
from luthier.run.retention import KEPT as KEPT
from luthier.study.history import History

_files, _fingerprint, _manifest = (
    manifests.files_in,
    manifests.fingerprint,
    manifests.read_manifest,
)


class LocalCheckpoints:
    """The checkpoints of one study, under *root*, which is made when the first one is written.

    With *durable* a checkpoint that ``save`` has returned from survives a power cut: its files and
    folders are on the disk before the rename, and the rename is before ``save`` returns. That costs a
    wait for the disk at every checkpoint. Without it a power cut may lose the newest ones.
    """

    def __init__(self, root: Path, durable: bool = False) -> None:
        self.root = root
        self.durable = durable
        self._leaders = Leaders()
        self._deleting = Deleting(str(root))

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
            CheckpointError: the disk is full or not writable. Earlier checkpoints stay.
        """
        final = self._folder(trial, step)
        temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
        try:
            shutil.rmtree(temporary, ignore_errors=True)  # of a dead process with our number
            self._make(temporary)
            write(temporary)
            manifest = manifests.described(temporary, step, metrics, seconds)
            (temporary / MANIFEST).write_bytes(manifests.encoded(manifest))
            if self.durable:
                flush_tree(temporary)
            _put_in_place(temporary, final)
            if self.durable:
                flush(final.parent)
        except BaseException as error:
            refusal = refused_by_disk(error, temporary)
            shutil.rmtree(temporary, ignore_errors=True)
            if not refusal:
                raise
            raise CheckpointError(
                f"Could not write the checkpoint of trial {trial} at step {step} under {self.root}: "
                f"{refusal} Nothing written before is lost."
            ) from error

    def newest(self, trial: int, at_most: int | None = None) -> tuple[int, dict[str, float], float]:
        """Return step, metrics and seconds of the newest complete checkpoint; step 0 when none.

        Raises:
            CheckpointError: the folder cannot be read.
        """
        with self._reading(trial):
            self._recover(trial)
            for step in sorted(self._steps(trial), reverse=True):
                if at_most is not None and step > at_most:
                    continue
                manifest = _manifest(self._folder(trial, step))
                if manifest is not None:
                    return step, *manifests.reported(manifest)[1:]
        return 0, {}, 0.0

    def path(self, trial: int, step: int) -> Path:
        """Return the checkpoint's folder after checking every file against its SHA-256.

        Raises:
            CheckpointError: it is missing or damaged, or cannot be read.
        """
        folder = self._folder(trial, step)
        with self._reading(trial):
            manifest = _manifest(folder)
            if manifest is None:
                raise CheckpointError(
                    f"Trial {trial} has no complete checkpoint of step {step}: expected {folder}. "
                    f"Only {KEEPERS} keep theirs."
                )
            if names := manifests.damaged(folder, manifest):
                raise CheckpointError(
                    f"{folder / names[0]} is damaged: its SHA-256 is not the one it was written with. "
                    f"Delete {folder} and run again: the trial goes on from an earlier checkpoint."
                )
        return folder

    def keep(self, trial: int, steps: set[int]) -> None:
        """Delete the trial's checkpoints but those after *steps*, and what killed writers left.

        What cannot be deleted is warned of once.
        """
        with self._deleting.warning():
            self._recover(trial)
            for step in self._steps(trial):
                if step not in steps:
                    _discard(self._folder(trial, step))
            for left in self._parent(trial).glob(".step-*"):
                shutil.rmtree(left, ignore_errors=True)

    def collect(self, history: History) -> None:
        """Delete what no trial can need any more; see the rule at the top of this file.

        The cost is that of the folders on the disk, not of the trials in the history.
        """
        with self._deleting.warning():
            found = _numbered(self.root, r"trial-(\d+)")
            kept = self._leaders.kept_steps(history, found)
            for number, folder in found.items():
                if not is_over(history, number):
                    continue
                if number in kept:
                    self.keep(number, kept[number])
                else:
                    shutil.rmtree(folder, ignore_errors=True)

    def _parent(self, trial: int) -> Path:
        return self.root / f"trial-{trial:05d}"

    def _folder(self, trial: int, step: int) -> Path:
        return self._parent(trial) / f"step-{step:06d}"

    def _steps(self, trial: int) -> list[int]:
        return list(_numbered(self._parent(trial), r"step-(\d+)"))

    def _make(self, folder: Path) -> None:
        """Make the folder and those above it, each written into the one above it when durable."""
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        folder.mkdir(parents=True)
        if self.durable:
            for made in missing:
                flush(made.parent)

    def _recover(self, trial: int) -> None:
        """Put back what a writer killed between the two renames of ``_put_in_place`` set aside."""
        for aside in self._parent(trial).glob(".step-*.aside"):
            final = aside.with_name(aside.name.removeprefix(".").removesuffix(".aside"))
            if not final.exists() and _manifest(aside) is not None:
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    os.replace(aside, final)

    @contextlib.contextmanager
    def _reading(self, trial: int) -> Generator[None]:
        """Turn what the file system refuses into an error of the place, which is none of the training code."""
        try:
            yield
        except CheckpointError:
            raise
        except OSError as error:
            raise CheckpointError(
                f"Could not read the checkpoints of trial {trial} in {self.root}: {error}. Run again when "
                "that is mended: it goes on from its newest checkpoint."
            ) from error


def _numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Return the entries of *folder* whose whole name fits, by the number in it; none without it."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    matches = (re.fullmatch(pattern, name) for name in names)
    return {int(match[1]): folder / match[0] for match in matches if match}


def _put_in_place(temporary: Path, final: Path) -> None:
    """Rename *temporary* to *final*; at every moment one whole checkpoint of the step can be found.

    A folder cannot be renamed onto one with files in it, so an earlier one is first set aside, from
    where ``newest`` takes it back if this process is killed before the second rename.
    """
    aside = final.with_name(f".{final.name}.aside")
    while True:
        try:
            os.replace(temporary, final)
            break
        except OSError:
            if not final.exists():
                raise
            shutil.rmtree(aside, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):  # somebody deleted it in between
                os.replace(final, aside)
    shutil.rmtree(aside, ignore_errors=True)


def _discard(folder: Path) -> None:
    """Delete a checkpoint so that a kill in the middle leaves none rather than half of one."""
    doomed = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(doomed, ignore_errors=True)
    try:
        os.replace(folder, doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)
