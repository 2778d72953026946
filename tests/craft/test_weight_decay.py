"""Weight decay: every conversion against the update rule it is about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft import batch_size, regularisation
from luthier.craft.weight_decay import (
    angular_step,
    decoupled_from_l2,
    from_normalised,
    l2_factor,
    l2_from_decoupled,
    normalised,
    rescaled,
    timescale,
)
from luthier.errors import SpaceError

DECAYS = st.floats(1e-7, 1)
RATES = st.floats(1e-5, 1)
SIZES = st.integers(1, 4096)


def test_one_penalty_in_three_notations():
    weight, examples, decay, step = np.array([0.3, -2.0]), 500, 0.04, 1e-6
    penalties = {
        "gradient": lambda w, c: c / 2 * (w**2).sum(),
        "keras": lambda w, c: c * (w**2).sum(),
        "course": lambda w, c: c / (2 * examples) * (w**2).sum(),
    }
    for convention, penalty in penalties.items():
        factor = l2_factor(decay, convention, examples)
        for i, unit in enumerate(np.eye(2)):
            rise = penalty(weight + step * unit, factor) - penalty(weight - step * unit, factor)
            assert rise / (2 * step) == pytest.approx(decay * weight[i], rel=1e-6)


def sgd(weight, gradients, rate, momentum=0.0, l2=0.0, decoupled=0.0):
    velocity = 0.0
    for gradient in gradients:
        velocity = momentum * velocity + gradient + l2 * weight
        weight = (1 - decoupled) * weight - rate * velocity
    return weight


def test_proposition_1():
    """Without momentum, L2 and decoupled decay are the same steps."""
    gradients = np.random.default_rng(0).normal(size=200)
    decoupled = decoupled_from_l2(0.02, 0.1)
    assert decoupled == pytest.approx(0.002)
    one = sgd(1.0, gradients, 0.1, l2=0.02)
    assert sgd(1.0, gradients, 0.1, decoupled=decoupled) == pytest.approx(one, rel=1e-12)


def test_with_momentum_in_the_long_run():
    rate, momentum, l2 = 0.1, 0.9, 1e-3
    shrunk = sgd(1.0, np.zeros(3000), rate, momentum, l2=l2)
    decoupled = decoupled_from_l2(l2, rate, momentum)
    assert decoupled == pytest.approx(1e-3)
    assert math.log(shrunk) == pytest.approx(3000 * math.log1p(-decoupled), rel=0.02)


@given(DECAYS, RATES, st.floats(0, 0.99))
def test_l2_there_and_back(decay, rate, momentum):
    there = decoupled_from_l2(decay, rate, momentum)
    assert l2_from_decoupled(there, rate, momentum) == pytest.approx(decay)


def test_proposition_2():
    with pytest.raises(SpaceError, match="proposition 2"):
        decoupled_from_l2(1e-4, 1e-3, optimizer="adam")
    with pytest.raises(SpaceError, match="proposition 2"):
        l2_from_decoupled(1e-4, 1e-3, optimizer="rmsprop")


def test_normalised_by_hand():
    # 0.025 on CIFAR-10: 50,000 images, batches of 128, 100 epochs.
    assert from_normalised(0.025, 128, 50_000, 100) == pytest.approx(0.025 * math.sqrt(128 / 5e6))
    # "the weight decay used if only one batch pass is allowed"
    assert from_normalised(0.05, 500, 500, 1) == pytest.approx(0.05)


@given(DECAYS, SIZES, st.integers(1, 10**6), st.integers(1, 1000))
def test_normalised_there_and_back(decay, size, examples, epochs):
    norm = normalised(decay, size, examples, epochs)
    assert from_normalised(norm, size, examples, epochs) == pytest.approx(decay)
    longer = rescaled(decay, "adamw", epochs=(epochs, 4 * epochs)).weight_decay
    assert longer == pytest.approx(from_normalised(norm, size, examples, 4 * epochs))
    larger = rescaled(decay, "adamw", batch_size=(size, 2 * size)).weight_decay
    assert larger == pytest.approx(from_normalised(norm, 2 * size, examples, epochs))


def test_weights_average_their_updates_over_the_timescale():
    rate, decay = 0.01, 0.5
    steps = timescale(rate, decay)
    assert steps == pytest.approx(200)
    left = sgd(1.0, np.zeros(round(steps)), rate, decoupled=rate * decay)
    assert left == pytest.approx(1 / math.e, rel=0.01)


def test_normalised_layers_turn_by_the_product():
    """Random gradients orthogonal to the weights, of size 1 / |w|: what normalisation makes of them."""
    random = np.random.default_rng(0)
    for rate, decay in ((0.1, 0.01), (0.01, 0.1)):
        weight, angles = random.normal(size=1000), []
        for step in range(6000):
            gradient = random.normal(size=1000)
            unit = weight / np.linalg.norm(weight)
            gradient -= unit * (unit @ gradient)
            gradient /= np.linalg.norm(gradient) * np.linalg.norm(weight)
            new = (1 - rate * decay) * weight - rate * gradient
            if step >= 5000:
                angles.append(math.acos(unit @ new / np.linalg.norm(new)))
            weight = new
        assert np.mean(angles) == pytest.approx(angular_step(rate, decay), rel=0.05)


@given(DECAYS, RATES, RATES)
def test_the_product_with_the_rate_stays(decay, before, now):
    for optimizer in ("sgd", "adamw"):
        new = rescaled(decay, optimizer, learning_rate=(before, now)).weight_decay
        assert now * new == pytest.approx(before * decay)


@given(DECAYS, RATES, SIZES, SIZES)
def test_with_the_rate_rescaled_by_its_own_rule_the_decay_stays(decay, rate, before, now):
    for optimizer in ("sgd", "adamw"):
        new_rate = batch_size.rescaled(rate, before, now, optimizer).learning_rate
        found = rescaled(decay, optimizer, learning_rate=(rate, new_rate), batch_size=(before, now))
        assert found.weight_decay == pytest.approx(decay)
        assert "weight decay stays" in found.words


def test_it_says_what_it_did():
    found = rescaled(0.01, "adamw", epochs=(10, 40), examples=(1000, 4000))
    assert found.weight_decay == pytest.approx(0.0025)
    assert found.words == (
        "adamw: decoupled weight decay 0.01 to 0.0025; epochs 10 to 40 changes it by one over the square "
        "root (Loshchilov & Hutter 2019, B.1); examples 1000 to 4000 changes it by one over the square "
        "root (Loshchilov & Hutter 2019, B.1)."
    )
    assert rescaled(0.01).words == "sgd: weight decay stays."


def test_what_cannot_be():
    with pytest.raises(SpaceError, match="convention='torch'"):
        l2_factor(0.1, "torch")
    with pytest.raises(SpaceError, match="number of training examples"):
        l2_factor(0.1, "course")
    with pytest.raises(SpaceError, match="weight_decay=-1"):
        l2_factor(-1, "keras")
    with pytest.raises(SpaceError, match="weight_decay=0"):
        timescale(0.1, 0)
    with pytest.raises(SpaceError, match="learning_rate=0"):
        angular_step(0, 0.1)
    with pytest.raises(SpaceError, match="both above 0"):
        rescaled(0.1, batch_size=(0, 1))
    with pytest.raises(SpaceError, match="batch_size=0"):
        normalised(0.1, 0, 1, 1)


def test_they_are_to_be_had_from_regularisation():
    for name in regularisation.__all__:
        assert getattr(regularisation, name).__doc__
