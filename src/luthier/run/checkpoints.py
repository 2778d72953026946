"""Checkpoints in a local folder: all or nothing, checked when read, deleted when nobody needs them.

Layout: ``trial-00007/step-000003/`` holds what the training code wrote, and ``manifest.json`` with
the step's metrics and each file's size and SHA-256. A checkpoint is written under a temporary name
and renamed; one without a manifest, or with files of other sizes, does not exist.

Disk use is bounded: a trial that may go on keeps its newest and its best checkpoint, an ended one
its best if it is among the ``KEPT`` best trials, else nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from luthier.errors import CheckpointError
from luthier.study.history import History

KEPT = 3
_MANIFEST = "manifest.json"


class LocalCheckpoints:
    """The checkpoints of one study, under *root*, which is made when the first one is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
            temporary.mkdir(parents=True)
            write(temporary)
            files = {str(p.relative_to(temporary)): _fingerprint(p) for p in _files(temporary)}
            manifest = {
                "step": step,
                "metrics": {name: repr(value) for name, value in metrics.items()},
                "seconds": seconds,
                "written": time.time(),
                "files": files,
            }
            (temporary / _MANIFEST).write_text(json.dumps(manifest))
            if final.exists():
                _discard(final)
            os.replace(temporary, final)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f"Could not write the checkpoint of trial {trial} at step {step} under {self.root}: "
                f"{error}. Nothing written before is lost: free space and run again."
            ) from error
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def newest(self, trial: int) -> tuple[int, dict[str, float], float]:
        """Return step, metrics and seconds of the newest complete checkpoint; step 0 when none."""
        for step in sorted(self._steps(trial), reverse=True):
            manifest = _manifest(self._folder(trial, step))
            if manifest is not None:
                metrics = {name: float(value) for name, value in manifest["metrics"].items()}
                return step, metrics, float(manifest["seconds"])
        return 0, {}, 0.0

    def path(self, trial: int, step: int) -> Path:
        """Return the checkpoint's folder after checking every file against its SHA-256.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        folder = self._folder(trial, step)
        manifest = _manifest(folder)
        if manifest is None:
            raise CheckpointError(
                f"Trial {trial} has no complete checkpoint of step {step}: expected {folder}. "
                f"Only the {KEPT} best trials and those that may go on keep theirs."
            )
        for name, expected in manifest["files"].items():
            if _fingerprint(folder / name) != expected:
                raise CheckpointError(
                    f"{folder / name} is damaged: its SHA-256 is not the one it was written with. "
                    f"Delete {folder} and run again: the trial goes on from an earlier checkpoint."
                )
        return folder

    def keep(self, trial: int, steps: set[int]) -> None:
        """Delete the trial's checkpoints but those after *steps*, and what killed writers left."""
        for step in self._steps(trial):
            if step not in steps:
                _discard(self._folder(trial, step))
        for left in (self.root / f"trial-{trial:05d}").glob(".step-*"):
            shutil.rmtree(left, ignore_errors=True)

    def collect(self, history: History) -> None:
        """Delete what no trial can need any more; see the rule at the top of this file."""
        if not self.root.is_dir():
            return
        kept = {trial.number for trial in history.ranking()[:KEPT]}
        for folder in self.root.glob("trial-*"):
            number = int(folder.name.removeprefix("trial-"))
            if number >= len(history.trials):
                continue
            trial = history.trials[number]
            if not trial.state.ended:
                continue
            if number in kept:
                self.keep(number, {trial.best_step})
            else:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, trial: int, step: int) -> Path:
        return self.root / f"trial-{trial:05d}" / f"step-{step:06d}"

    def _steps(self, trial: int) -> list[int]:
        parent = self.root / f"trial-{trial:05d}"
        if not parent.is_dir():
            return []
        return [int(p.name.removeprefix("step-")) for p in parent.glob("step-*")]


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text())
        sizes = {name: (folder / name).stat().st_size for name in manifest["files"]}
    except (OSError, ValueError, KeyError):
        return None
    whole = all(size == manifest["files"][name][0] for name, size in sizes.items())
    return manifest if whole and math.isfinite(manifest["seconds"]) else None


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _fingerprint(path: Path) -> list[int | str]:
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return [path.stat().st_size, digest]


def _discard(folder: Path) -> None:
    """Delete a checkpoint so that a kill in the middle leaves none rather than half of one."""
    doomed = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(doomed, ignore_errors=True)
    try:
        os.replace(folder, doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)
