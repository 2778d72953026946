"""Compiled epochs of Keras models: the suite runs on JAX, hints and fallbacks on another backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.frameworks

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("suites", "backend"),
    [
        (["keras_suite.py", "streamed_suite.py", "keras_around_suite.py"], "jax"),
        (["keras_other_suite.py"], "torch"),
    ],
)
def test_the_suites(suites, backend, tmp_path):
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "LUTHIER_PROGRAMS": str(tmp_path / "programs"),
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path]),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    command += [str(HERE / suite) for suite in suites]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
