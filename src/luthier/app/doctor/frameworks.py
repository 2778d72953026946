"""What the deep-learning frameworks say of themselves, each asked in a process of its own.

A framework that is broken, hangs or kills its process is then a finding, and not the end of the doctor.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

_SECONDS = 90.0  # TensorFlow on a cold disk takes 20
State = Literal["absent", "works", "broken", "not asked"]

_ASK = """
import json
name = {name!r}
found = {{"devices": [], "backend": ""}}
if name == "torch":
    import torch
    for i in range(torch.cuda.device_count()):
        found["devices"].append(torch.cuda.get_device_name(i))
    if torch.backends.mps.is_available():
        found["devices"].append("Apple GPU (mps)")
elif name == "jax":
    import jax
    found["devices"] = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
elif name == "tensorflow":
    import tensorflow
    found["devices"] = [d.name for d in tensorflow.config.list_physical_devices("GPU")]
else:
    import keras
    found["backend"] = keras.backend.backend()
print("\\n" + json.dumps(found))
"""


@dataclass(frozen=True)
class Framework:
    """What one framework said.

    Attributes:
        name: of its module.
        version: of its package, '' where there is none.
        state: whether it can be imported.
        error: the last line that a broken one said.
        devices: its accelerators, by their names; the CPU is not listed.
        backend: what Keras runs on.
        seconds: that it took to start.
    """

    name: str
    version: str = ""
    state: State = "absent"
    error: str = ""
    devices: list[str] = field(default_factory=list[str])
    backend: str = ""
    seconds: float = 0.0


def look_at_frameworks(*, quick: bool = False) -> list[Framework]:
    """Return what Keras, TensorFlow, PyTorch and JAX say; with *quick* without starting them."""
    return [_look_at(name, quick=quick) for name in ("keras", "tensorflow", "torch", "jax")]


def version_of(package: str) -> str:
    """Return the version that is installed; '' for none, '?' where the package does not say."""
    try:
        return metadata.version(package) or "?"
    except metadata.PackageNotFoundError:
        return ""
    except Exception:  # a package that was removed by half
        return "?"


def _look_at(name: str, *, quick: bool) -> Framework:
    try:
        there = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        there = False
    if not there:
        return Framework(name)
    version = version_of(name) or (version_of("tensorflow-cpu") if name == "tensorflow" else "")
    if quick:
        return Framework(name, version, "not asked")
    return _asked(name, version)


def _asked(name: str, version: str) -> Framework:
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK.format(name=name)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Framework(name, version, "broken", f"did not start within {_SECONDS:.0f} s")
    seconds = time.perf_counter() - begin
    try:
        if done.returncode != 0:
            raise ValueError
        found = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return Framework(name, version, "broken", _last_words(done), seconds=seconds)
    return Framework(
        name, version, "works", devices=found["devices"], backend=found["backend"], seconds=seconds
    )


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}" + (f": {lines[-1]}" if lines else "")
    return lines[-1].strip() if lines else f"exit code {done.returncode}"
