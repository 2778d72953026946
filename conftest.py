"""Runs every Python block of README and docs, in a folder of its own; puts the longest files first."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

# Programs that run for a moment need not be fast: to make them so is a third of what the tests of JAX take.
# The examples on Fashion-MNIST are compiled as they are for users.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

# Two test processes have the two cores: threads that wait for each other cost time. Not OMP_NUM_THREADS: by it
# compiled epochs know how many of them to run beside each other.
for _threads in ("MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_threads, "1")

# How long an example takes is the machine's affair: speed is measured in benchmarks/. Half as many of them as
# usual, others each time: the suite has to end within minutes.
settings.register_profile("luthier", deadline=None, max_examples=50)
settings.load_profile("luthier")


def setup(namespace):
    namespace["_back"] = os.getcwd()
    os.chdir(tempfile.mkdtemp(prefix="luthier-docs-"))


def teardown(namespace):
    os.chdir(namespace["_back"])


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=setup,
    teardown=teardown,
).pytest()

# Files whose few tests take minutes. Left to the end, one process would run them while the other waits.
LONGEST = (
    "test_keras_tensorflow.py",
    "test_keras.py",  # of the compiled epochs
    "test_keras_jax.py",
    "test_keras_torch.py",
    "test_examples.py",
)


def pytest_collection_modifyitems(items):
    """Have the longest files begin first (the sort keeps the order of all others)."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(autouse=True)
def no_frameworks(monkeypatch):
    """Workers begin as a script starts them that has loaded no framework.

    Other tests had this process load all of them, and each study would load them again, ten seconds each time.
    """
    monkeypatch.setattr("luthier.run.supervisor.FRAMEWORKS", ())
