"""Keras on real images, on each backend: a process has only one, so each runs the suite in its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.frameworks
HERE = Path(__file__).parent


def run(*arguments, backend, timeout=600):
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_suite(backend):
    done = run(
        "-m", "pytest", "-x", "-p", "no:cacheprovider", HERE / "keras_suite.py", backend=backend
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_memory_does_not_grow_from_trial_to_trial(tmp_path, backend):
    done = run(HERE / "keras_memory.py", tmp_path / "luthier.db", backend=backend)
    assert done.returncode == 0, done.stdout + done.stderr
    after_10, after_50 = map(int, done.stdout.split()[-2:])
    assert after_50 <= 1.2 * after_10
