"""Regularisation's ranges, the floor that label smoothing puts under the loss, and the joint space."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft import defaults, regularisation
from luthier.craft.optimizers import OPTIMIZERS
from luthier.errors import SpaceError
from luthier.space import Constant, Float, Space, lint


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_ranges(optimizer):
    space = Space(regularisation.domains(optimizer, classes=10))
    assert list(space) == ["weight_decay", "dropout", "label_smoothing"]
    assert space["weight_decay"].scale == "log"
    assert lint(space) == []
    assert "label_smoothing" not in regularisation.domains(optimizer)


def test_typical_products_with_the_rate_are_of_one_size():
    """0.1 * 1e-4 for SGD and 1e-3 * 1e-2 for AdamW."""
    sgd, adam = (regularisation.domains(name)["weight_decay"].default for name in ("sgd", "adamw"))
    assert 0.1 * sgd == pytest.approx(1e-3 * adam)


@given(st.one_of(st.just(0.0), st.floats(1e-6, 0.9)), st.integers(2, 30))
def test_no_net_is_below_the_smallest_loss(smoothing, classes):
    labels = np.full(classes, smoothing / classes)
    labels[0] += 1 - smoothing
    floor = regularisation.smallest_loss(smoothing, classes)
    for logits in np.random.default_rng(classes).normal(0, 3, (20, classes)):
        logp = logits - np.log(np.exp(logits).sum())
        assert -(labels @ logp) >= floor - 1e-9
    if smoothing > 0:
        assert -(labels @ np.log(labels)) == pytest.approx(floor)


def test_the_smallest_loss_by_hand():
    assert regularisation.smallest_loss(0.1, 10) == pytest.approx(0.500288, abs=1e-6)
    assert regularisation.smallest_loss(0, 10) == 0
    assert regularisation.smallest_loss(1, 10) == pytest.approx(math.log(10))
    with pytest.raises(SpaceError, match="classes=1"):
        regularisation.smallest_loss(0.1, 1)


# -- the space to start from -----------------------------------------------------------------------


def test_the_space_for_fashion_mnist():
    space = defaults.space(784, 10, 55_000, "sgd")
    assert list(space) == [
        "learning_rate",
        "momentum",
        "batch_size",
        "units",
        "layers",
        "decay",
        "weight_decay",
        "dropout",
        "label_smoothing",
    ]
    assert space.default() == {
        "learning_rate": 0.01,
        "momentum": 0.9,
        "batch_size": 64,
        "units": 128,
        "layers": 2,
        "decay": 1.0,
        "weight_decay": 1e-4,
        "dropout": 0.1,
        "label_smoothing": 0.0,
    }


OPTIMIZER = st.one_of(
    st.sampled_from(OPTIMIZERS), st.lists(st.sampled_from(OPTIMIZERS), min_size=1, max_size=3)
)


@given(
    st.integers(1, 5000),
    st.integers(1, 1000),
    st.integers(1, 10**6),
    OPTIMIZER,
    st.one_of(st.none(), st.integers(1, 200)),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_the_linter_has_nothing_to_say(inputs, outputs, examples, optimizer, trials, fewest, more):
    space = defaults.space(
        inputs,
        outputs,
        examples,
        optimizer,
        trials=trials,
        layers=(fewest, fewest + more),
        families=("constant", "pyramid"),
    )
    assert lint(space, data_size=examples) == []
    assert space.check(space.default()) == space.default()
    assert Space.from_dict(space.to_dict()) == space
    assert ("label_smoothing" in space) == (outputs > 1)


def test_what_is_known_goes_in():
    rate = Float(1e-3, 1e-1, scale="log")
    space = defaults.space(784, 10, 60_000, "adam", rate=rate, batch_size=256, trials=9)
    assert space["learning_rate"] == rate
    assert space["batch_size"] == Constant(256)
    assert space["beta_1"] == Constant(0.9)
    assert "label_smoothing" not in defaults.space(8, 2, 100, classifies=False)


def test_each_optimizer_has_its_own_ranges():
    space = defaults.space(784, 10, 60_000, ("sgd", "adamw"))
    assert space["optimizer.sgd.learning_rate"].high == 1.0
    assert space["optimizer.adamw.learning_rate"].high == 0.1
    assert "optimizer.sgd.weight_decay" in space
    assert "weight_decay" not in space
    with pytest.raises(SpaceError, match="only for one"):
        defaults.space(8, 2, 100, ("sgd", "adam"), rate=Float(0.1, 1.0))
    with pytest.raises(SpaceError, match="expected one optimizer"):
        defaults.space(8, 2, 100, ())
