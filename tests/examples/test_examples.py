"""Every example runs as a user would run it, on real images, with a small budget."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.frameworks
EXAMPLES = Path(__file__).parents[2] / "examples"
SAVED = {"torch": ".pt", "jax": ".npz"}  # by what is in the name; else .keras
TUNING = sorted(
    p.name
    for p in EXAMPLES.glob("*.py")
    if p.name.split("_")[0] in ("keras", "torch", "jax", "staged")
)


@pytest.mark.parametrize("example", TUNING)
def test_example(example, tmp_path):
    environment = {**os.environ, "LUTHIER_SMOKE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("KERAS_BACKEND", None)
    environment.pop("LUTHIER_DATA", None)
    environment.pop("XLA_FLAGS", None)  # as for a user

    def run():
        return subprocess.run(
            [sys.executable, EXAMPLES / example],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    done = run()
    assert done.returncode == 0, done.stderr
    ranking = [line for line in done.stdout.splitlines() if line.lstrip().startswith(("1", "2"))]
    assert len(ranking) >= 2
    assert "learning_rate" in done.stdout
    assert "units" in done.stdout
    assert "plan:" in done.stderr
    name = Path(example).stem
    suffix = next((suffix for word, suffix in SAVED.items() if word in name), ".keras")
    assert (tmp_path / f"{name}{suffix}").stat().st_size > 10_000
    if name == "torch_hyperband":  # a finished study is not trained again
        again = run()
        assert again.stdout == done.stdout
        assert "going on: 5 trials" in again.stderr


OTHERS = sorted(
    p.name
    for p in EXAMPLES.glob("*.py")
    if p.name.split("_")[0] in ("sklearn", "xgboost", "lightning", "flax", "equinox")
)


@pytest.mark.parametrize("example", OTHERS)
def test_example_of_a_framework(example, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / example],
        cwd=tmp_path,
        env={**os.environ, "LUTHIER_DATA": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("best")]
    assert found
    if "xgboost" in example:  # a loss
        assert found[0] < 0.3
    else:
        assert min(found) > 0.6
