"""Keras on TensorFlow."""

from __future__ import annotations

import pytest
from keras_runs import check_memory, check_suite

pytestmark = pytest.mark.frameworks


def test_the_suite():
    # What a checkpoint holds is tested on JAX and PyTorch, in a third of the time that it takes here.
    check_suite(
        "tensorflow", "tensorflow_suite.py", "keras_data_suite.py", "keras_reading_suite.py"
    )


def test_memory_does_not_grow_from_trial_to_trial(tmp_path):
    check_memory(tmp_path, "tensorflow", trials=20)
