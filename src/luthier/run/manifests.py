"""What lies beside the files of a checkpoint and says that it is whole.

``manifest.json`` holds the step, the metrics and seconds reported after it, when it was written, each
file's size and SHA-256, and the folders that hold no file. Metrics are written as Python writes
floats, because JSON has no infinity. A checkpoint whose manifest cannot be read does not exist.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from luthier.errors import CheckpointError

MANIFEST = "manifest.json"


def described(
    folder: Path, step: int, metrics: Mapping[str, float], seconds: float
) -> dict[str, Any]:
    """Return the manifest of what lies in *folder*, every file read and summed.

    Raises:
        OSError: a file cannot be read.
        CheckpointError: the training code wrote a file of the manifest's name.
    """
    if (folder / MANIFEST).exists():
        raise CheckpointError(
            f"The training code saved a file named {MANIFEST}, which is the name of the checkpoint's "
            "own list of files. Save yours under another name, or in a folder of its own."
        )
    return {
        "step": step,
        "metrics": {name: repr(float(value)) for name, value in metrics.items()},
        "seconds": seconds,
        "written": time.time(),
        "files": {p.relative_to(folder).as_posix(): fingerprint(p) for p in files_in(folder)},
        "folders": [
            p.relative_to(folder).as_posix()
            for p in sorted(folder.rglob("*"))
            if p.is_dir() and not any(p.iterdir())
        ],
    }


def encoded(manifest: Mapping[str, Any]) -> bytes:
    """Return the manifest as it is stored."""
    return json.dumps(manifest).encode()


def decoded(text: bytes) -> dict[str, Any] | None:
    """Return the manifest that *text* is, None when it is cut short or no manifest."""
    try:
        manifest: dict[str, Any] = json.loads(text)
        names = [*manifest["files"], *manifest.get("folders", [])]
        sound = (
            math.isfinite(manifest["seconds"])
            and isinstance(manifest["step"], int)
            and all(math.isfinite(entry[0]) for entry in manifest["files"].values())
            and all(_inside(name) for name in names)
        )
        {name: float(value) for name, value in manifest["metrics"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return manifest if sound else None


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest in *folder*; None unless every file is there in its size."""
    try:
        manifest = decoded((folder / MANIFEST).read_bytes())
        if manifest is None:
            return None
        sizes = {name: (folder / name).stat().st_size for name in manifest["files"]}
    except OSError:
        return None
    return manifest if whole(manifest, sizes) else None


def whole(manifest: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    """Return True when *sizes*, by file name, holds every file of the manifest in its size."""
    return all(sizes.get(name) == entry[0] for name, entry in manifest["files"].items())


def reported(manifest: Mapping[str, Any]) -> tuple[int, dict[str, float], float]:
    """Return the step, and the metrics and seconds that were reported after it."""
    metrics = {name: float(value) for name, value in manifest["metrics"].items()}
    return manifest["step"], metrics, float(manifest["seconds"])


def damaged(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the files in *folder* that are missing or not what was written."""
    return [
        name
        for name, expected in manifest["files"].items()
        if not (folder / name).is_file() or fingerprint(folder / name) != expected
    ]


def files_in(folder: Path) -> list[Path]:
    """Return every file under *folder*, in the order of their names."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def fingerprint(path: Path) -> list[int | str]:
    """Return the file's size in bytes and its SHA-256."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return [path.stat().st_size, digest]


def _inside(name: str) -> bool:
    """Return True unless the name leads out of the folder: a manifest may come from a shared bucket."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
