"""Checkpoints at any URL that fsspec knows: all or nothing, checked when read, bounded.

Layout: ``trial-00007/step-000003.ATTEMPT/`` holds what the training code wrote, and last of all
``manifest.json``, in the same format as in a local folder. Each writing of a checkpoint is an attempt
of its own: ATTEMPT is the time of its beginning in nanoseconds and a random number, so that nothing a
killed worker left is ever mixed with what another writes. An attempt without a manifest, or with files
of other sizes than it tells, does not exist; of several whole ones the newest counts.

Disk use is bounded by the rule in ``retention``. Attempts that were never finished are deleted once a
newer checkpoint of the trial stands, at the latest after a day. S3 itself keeps the parts of a large
file whose upload was killed: give the bucket a lifecycle rule that aborts incomplete uploads.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from luthier.errors import CheckpointError
from luthier.run import manifests
from luthier.run.deleting import Deleting
from luthier.run.disk import fresh_folder, refused_by_disk
from luthier.run.manifests import MANIFEST
from luthier.run.remote import RemoteFolder
from luthier.run.retention import KEEPERS, KEPT, Leaders, is_over
from luthier.study.history import History

_DAY = 86_400e9  # nanoseconds
_DOWNLOADED = KEPT + 1  # folders that stay readable; older ones make room
_ATTEMPT = re.compile(r"step-(\d+)\.([0-9a-f]{16})-[0-9a-f]+")


@dataclass(frozen=True)
class _Attempt:
    """One writing of a checkpoint; ``sizes`` are its files in bytes, by name."""

    name: str  # below the root
    step: int
    began: int  # nanoseconds since 1970, by the writer's clock
    sizes: Mapping[str, int]

    @property
    def finished(self) -> bool:
        """True when the manifest is there, which is written last."""
        return MANIFEST in self.sizes


class URLCheckpoints:
    """The checkpoints of one study under *url*, such as ``"s3://bucket/checkpoints/study"``.

    Args:
        url: the folder, local or remote. ``memory://`` lives in this process only.
        options: what the file system takes: ``{"endpoint_url": ...}``, credentials, and so on.
    """

    remote: ClassVar[bool] = True

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self._remote = RemoteFolder(url, options)
        self._leaders = Leaders()
        self._downloads: dict[
            tuple[int, int, int], tuple[str, Path]
        ] = {}  # by process, trial, step
        self._deleting = Deleting(self._remote.shown)

    def check(self) -> None:
        """Write and delete a small file, to find out before the training whether that works.

        Raises:
            CheckpointError: a package is missing, access is refused, nothing answers.
        """
        probe = f"probe-{secrets.token_hex(4)}"
        self._remote.publish(probe, b"Luthier can write here.")
        self._remote.remove_file(probe)

    def save(
        self,
        trial: int,
        step: int,
        write: Callable[[Path], object],
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Let *write* fill a local temporary folder, then make it the checkpoint after *step*.

        Raises:
            CheckpointError: a disk is full, access is refused, or the network still fails after
                several attempts. Earlier checkpoints stay.
        """
        self._forget_downloads(trial)  # it has gone on from them
        folder = fresh_folder("outgoing")
        try:
            write(folder)
            manifest = manifests.described(folder, step, metrics, seconds)
            self._upload(trial, folder, manifest)
        except BaseException as error:
            if refusal := refused_by_disk(error, folder):
                raise CheckpointError(
                    f"Could not write the checkpoint of trial {trial} at step {step} to the temporary "
                    f"folder {folder}: {refusal} Nothing written before is lost."
                ) from error
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def newest(self, trial: int, at_most: int | None = None) -> tuple[int, dict[str, float], float]:
        """Return step, metrics and seconds of the newest complete checkpoint; step 0 when none.

        Raises:
            CheckpointError: the URL cannot be read.
        """
        for attempt in self._attempts(trial):
            if at_most is not None and attempt.step > at_most:
                continue
            if manifest := self._manifest(attempt):
                return attempt.step, *manifests.reported(manifest)[1:]
        return 0, {}, 0.0

    def path(self, trial: int, step: int) -> Path:
        """Download the checkpoint, check every file against its SHA-256 and return the local folder.

        The folder stays until the trial writes its next checkpoint, newer downloads make room for theirs, or
        this process exits.

        Raises:
            CheckpointError: it is missing or damaged, or the URL cannot be read.
        """
        for attempt in self._attempts(trial):
            if attempt.step == step and (manifest := self._manifest(attempt)):
                return self._download(attempt, trial, manifest)
        raise CheckpointError(
            f"Trial {trial} has no complete checkpoint of step {step} at {self._remote.shown}. Only "
            f"{KEEPERS} keep theirs."
        )

    def keep(self, trial: int, steps: set[int]) -> None:
        """Delete the trial's checkpoints but those after *steps*, and what killed writers left.

        What cannot be deleted is warned of once: it costs space, and is no reason to stop a training.
        """
        with self._deleting.warning():
            attempts = self._attempts(trial)
            latest = max((a.began for a in attempts if a.finished), default=0)
            standing: dict[int, list[_Attempt]] = {}
            for attempt in attempts:
                if attempt.finished and attempt.step in steps:
                    standing.setdefault(attempt.step, []).append(attempt)
                elif attempt.finished or attempt.began < max(latest, time.time_ns() - _DAY):
                    self._discard(attempt)
            for rivals in standing.values():
                self._keep_newest(rivals)

    def collect(self, history: History) -> None:
        """Delete what no trial can need any more; see ``retention`` for the rule.

        It lists the folders of trials, which are few, and asks further for the kept ones only.
        """
        with self._deleting.warning():
            names = self._remote.names()
            matches = (re.fullmatch(r"trial-(\d+)", name) for name in names)
            found = {int(match[1]): match[0] for match in matches if match}
            kept = self._leaders.kept_steps(history, found)
            for number, name in found.items():
                if not is_over(history, number):
                    continue
                if number in kept:
                    self.keep(number, kept[number])
                else:
                    self._forget_downloads(number)
                    self._remote.remove_tree(name)

    # -- parts -----------------------------------------------------------------------------------

    def _upload(self, trial: int, folder: Path, manifest: Mapping[str, Any]) -> None:
        stamp = f"{time.time_ns():016x}-{secrets.token_hex(4)}"
        attempt = f"{_trial_name(trial)}/step-{manifest['step']:06d}.{stamp}"
        try:
            self._remote.upload({f"{attempt}/{name}": folder / name for name in manifest["files"]})
            self._remote.publish(f"{attempt}/{MANIFEST}", manifests.encoded(manifest))
        except BaseException:
            with contextlib.suppress(CheckpointError):  # else ``keep`` does it some day
                self._remote.remove_tree(attempt)
            raise

    def _attempts(self, trial: int) -> list[_Attempt]:
        """Return all attempts of the trial, finished or not, later steps and newer ones first."""
        sizes: dict[str, dict[str, int]] = {}
        for name, size in self._remote.sizes(_trial_name(trial)).items():
            attempt, _, inner = name.partition("/")
            sizes.setdefault(attempt, {})[inner] = size
        attempts: list[_Attempt] = []
        for name, own in sizes.items():
            if match := _ATTEMPT.fullmatch(name):
                whole_name = f"{_trial_name(trial)}/{name}"
                attempts.append(_Attempt(whole_name, int(match[1]), int(match[2], 16), own))
        return sorted(attempts, key=lambda a: (a.step, a.began, a.name), reverse=True)

    def _manifest(self, attempt: _Attempt) -> dict[str, Any] | None:
        """Return the attempt's manifest, None unless all files that it tells of are there."""
        text = self._remote.read(f"{attempt.name}/{MANIFEST}") if attempt.finished else None
        manifest = manifests.decoded(text) if text is not None else None
        return manifest if manifest and manifests.whole(manifest, attempt.sizes) else None

    def _download(self, attempt: _Attempt, trial: int, manifest: dict[str, Any]) -> Path:
        key = (os.getpid(), trial, attempt.step)
        name, folder = self._downloads.get(key, ("", Path()))
        if name == attempt.name and not manifests.damaged(folder, manifest):
            self._downloads[key] = self._downloads.pop(key)  # the last to make room
            return folder
        if name:
            shutil.rmtree(folder, ignore_errors=True)  # an older attempt's, or touched since
        folder = fresh_folder(attempt.name.replace("/", "-"))
        wrong: list[str] = list(manifest["files"])
        for _ in range(2):  # what was damaged on its way arrives whole the second time
            self._remote.download({f"{attempt.name}/{file}": folder / file for file in wrong})
            wrong = manifests.damaged(folder, manifest)
        if wrong:
            shutil.rmtree(folder, ignore_errors=True)
            raise CheckpointError(
                f"{self._remote.shown}/{attempt.name}/{wrong[0]} is damaged: its SHA-256 is not the "
                f"one it was written with. Delete {self._remote.shown}/{attempt.name} and run again: "
                "the trial goes on from an earlier checkpoint."
            )
        for empty in manifest.get("folders", []):
            (folder / empty).mkdir(parents=True, exist_ok=True)
        self._downloads.pop(key, None)
        self._downloads[key] = (attempt.name, folder)
        self._make_room()
        return folder

    def _make_room(self) -> None:
        """Delete the oldest downloads: of a parent's checkpoint nothing else says that it is not needed."""
        own = [
            key for key in self._downloads if key[0] == os.getpid()
        ]  # a fork knows its parent's, too
        for key in own[:-_DOWNLOADED]:
            shutil.rmtree(self._downloads.pop(key)[1], ignore_errors=True)

    def _keep_newest(self, rivals: list[_Attempt]) -> None:
        """Delete all attempts at one step but the newest whole one, or the only one."""
        kept = rivals[0] if len(rivals) == 1 else next(filter(self._manifest, rivals), None)
        for rival in rivals:
            if rival is not kept:
                self._discard(rival)

    def _discard(self, attempt: _Attempt) -> None:
        """Delete an attempt, its manifest first: half a checkpoint must not look like one."""
        if attempt.finished:
            self._remote.remove_file(f"{attempt.name}/{MANIFEST}")
        self._remote.remove_tree(attempt.name)

    def _forget_downloads(self, trial: int) -> None:
        for key in [k for k in self._downloads if k[1] == trial]:
            _, folder = self._downloads.pop(key)
            if key[0] == os.getpid():
                shutil.rmtree(folder, ignore_errors=True)


def _trial_name(trial: int) -> str:
    return f"trial-{trial:05d}"
