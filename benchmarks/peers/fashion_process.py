"""Searches on Fashion-MNIST, each in a process of its own: the images they share, and how one is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tasks import DATA

from peers.install import python_of

HERE = Path(__file__).parent


def save_images(path: Path, images: int, validation: int) -> int:
    """Write *images* training and *validation* validation images, and return how many train."""
    import luthier

    os.environ.setdefault("LUTHIER_DATA", str(DATA / "fashion-mnist"))
    data = luthier.datasets.fashion_mnist("full", validation=5_000)
    (x, y), (x_val, y_val) = data.train, data.validation
    np.savez(path, x=x[:images], y=y[:images], x_val=x_val[:validation], y_val=y_val[:validation])
    return len(x[:images])


def answer_of(
    script: str,
    data: Path,
    setting: dict[str, Any],
    backend: str,
    programs: str,
    *,
    venvs: Path,
    venv: str | None = None,
    cores: int | None = None,
) -> dict[str, Any]:
    """Return what *script* of this folder answered.

    Args:
        script: The file's name; it gets the images' path and *setting* as JSON.
        data: The images that `save_images` wrote.
        setting: What to search, and how.
        backend: Keras's.
        programs: The folder of Luthier's compiled programs.
        venvs: The folder of the peers' environments.
        venv: The environment of a peer; None for Luthier's own.
        cores: How many of the machine's cores it may use; None for all.

    Raises:
        SystemExit: The script failed; with the end of what it said.
    """
    # As on a user's machine, a package is compiled to bytecode once, not in each process.
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment = {
        **inherited,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "LUTHIER_PROGRAMS": programs,
        **({"OMP_NUM_THREADS": str(cores)} if cores else {}),
    }
    python = Path(sys.executable) if venv is None else python_of(venvs, venv)
    done = subprocess.run(
        [str(python), str(HERE / script), str(data), json.dumps(setting)],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=(lambda: os.sched_setaffinity(0, range(cores))) if cores else None,
    )
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])
