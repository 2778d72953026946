"""Keras on JAX."""

from __future__ import annotations

import pytest
from keras_runs import check_memory, check_suite

pytestmark = pytest.mark.frameworks


def test_the_suite():
    check_suite(
        "jax",
        "keras_checkpoints_suite.py",
        "keras_data_suite.py",
        "keras_discovery_suite.py",
        "keras_reading_suite.py",
    )


def test_memory_does_not_grow_from_trial_to_trial(tmp_path):
    check_memory(tmp_path, "jax")


def test_nor_from_ones_own_training_function(tmp_path):
    # Caches go after every eighth trial: the tenth and the last are as far from that.
    check_memory(tmp_path, "jax", "own", trials=18)
