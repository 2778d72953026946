"""Keras on PyTorch."""

from __future__ import annotations

import pytest
from keras_runs import check_suite

pytestmark = pytest.mark.frameworks


def test_the_suite():
    check_suite("torch", "keras_checkpoints_suite.py", "keras_reading_suite.py")
