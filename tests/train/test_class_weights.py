"""Which class an example is of, where its class has a weight."""

from __future__ import annotations

import numpy as np
import pytest

from luthier.errors import StudyError
from luthier.train.data import weighted

X = np.zeros((3, 4))
CLASSES = np.array([0, 2, 1])
WEIGHTS = {1: 3.0, 2: 5.0}
ONE_HOT = np.eye(3)[CLASSES]


@pytest.mark.parametrize(
    "y",
    [
        CLASSES,
        CLASSES[:, None],
        ONE_HOT,
        ONE_HOT.astype(bool),
        0.7 * ONE_HOT.astype("float32") + 0.1,
    ],
    ids=["numbers", "a column", "one-hot", "truths", "soft labels"],
)
def test_each_example_has_the_weight_of_its_class(y):
    assert weighted((X, y), WEIGHTS)[2].tolist() == [1.0, 5.0, 3.0]
    assert weighted((X, y, [2, 1, 1]), WEIGHTS)[2].tolist() == [2.0, 5.0, 3.0]


@pytest.mark.parametrize(
    "y",
    [
        np.array([[1, 7, 2, 4], [3, 0, 2, 1], [9, 9, 0, 0]]),
        np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        np.eye(3)[[CLASSES, CLASSES, CLASSES]],
        np.zeros((3, 4, 1), int),
    ],
    ids=["tokens", "several classes at once", "a class for each step", "a number for each step"],
)
def test_targets_without_one_class_for_each_example_are_refused(y):
    with pytest.raises(StudyError, match=r"one class for each example.*\(x, y, weights\)"):
        weighted((X, y), WEIGHTS)
