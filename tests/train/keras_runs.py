"""Keras on real images, on each backend: a process has only one, so each runs the suite in its own.

One test file a backend, for the test processes take whole files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(*arguments, backend, timeout=900):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if backend == "torch":
        environment["OMP_NUM_THREADS"] = (
            "1"  # threads that wait for each other cost thrice the time
        )
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def check_suite(backend, *more):
    """Fail unless the whole suite passes on *backend*, with *more* files."""
    files = [HERE / name for name in ("keras_suite.py", *more)]
    done = run("-m", "pytest", "-p", "no:cacheprovider", *files, backend=backend)
    assert done.returncode == 0, done.stdout + done.stderr


def check_memory(folder, backend, *own, trials=30):
    """Fail when trials after the tenth leave memory behind: a leaked model is 5 MB or more."""
    done = run(HERE / "keras_memory.py", folder / "luthier.db", trials, *own, backend=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    after_10, after_all = map(int, done.stdout.split()[-2:])
    assert after_all - after_10 <= (trials - 10) * 3e6
