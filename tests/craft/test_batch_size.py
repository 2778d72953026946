"""Batch size: its range, and the rules that rescale a learning rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.craft.batch_size import domains, rescaled
from luthier.errors import SpaceError
from luthier.space import Constant, Space, lint

RATES = st.floats(1e-6, 1)
SIZES = st.integers(1, 10**5)


def test_linear_for_sgd():
    # Goyal et al. 2017: 0.1 at 256, so 3.2 at 8k.
    found = rescaled(0.1, 256, 8192, "sgd")
    assert found.learning_rate == pytest.approx(3.2)
    assert found.others == {}
    assert "in proportion" in found.words
    assert "Warm the rate up" in found.words


def test_square_root_for_adam():
    # Malladi et al. 2022 with kappa = 4.
    found = rescaled(1e-3, 64, 256, "adam", beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    assert found.learning_rate == pytest.approx(2e-3)
    assert found.others == pytest.approx({"beta_1": 0.6, "beta_2": 0.996, "epsilon": 5e-9})
    assert "square root" in found.words
    assert "beta_2 to 0.996" in found.words
    down = rescaled(1e-3, 256, 64, "rmsprop", rho=0.9)
    assert down.learning_rate == pytest.approx(5e-4)
    assert down.others == pytest.approx({"rho": 0.975})


def test_says_where_no_memory_is_left():
    found = rescaled(1e-3, 32, 320, "adamw", beta_1=0.9, beta_2=0.999)
    assert found.others == pytest.approx({"beta_1": 0.0, "beta_2": 0.99})
    assert "No memory is left in beta_1" in found.words
    assert "give them" in rescaled(1e-3, 32, 64, "adam").words


@given(RATES, SIZES, SIZES, st.sampled_from(["sgd", "nesterov", "adam", "rmsprop"]))
def test_there_and_back(rate, one, other, optimizer):
    there = rescaled(rate, one, other, optimizer).learning_rate
    assert rescaled(there, other, one, optimizer).learning_rate == pytest.approx(rate)
    assert (there > rate) == (other > one)


@given(st.floats(0.5, 0.9999), st.integers(1, 64), st.integers(1, 64))
def test_averages_reach_back_over_as_many_examples(beta, one, other):
    new = rescaled(1e-3, one, other, "adam", beta_2=beta).others["beta_2"]
    if new > 0:
        assert other / (1 - new) == pytest.approx(one / (1 - beta), rel=1e-6)


def test_what_cannot_be():
    with pytest.raises(SpaceError, match="to_batch=0"):
        rescaled(0.1, 1, 0)
    with pytest.raises(SpaceError, match="beta_1=1"):
        rescaled(0.1, 1, 2, "adam", beta_1=1)
    with pytest.raises(SpaceError, match="'lion' is not known"):
        rescaled(0.1, 1, 2, "lion")
    with pytest.raises(SpaceError, match="examples=0"):
        domains(0)


@given(st.integers(1, 10**7))
def test_the_range_follows_the_data(examples):
    domain = domains(examples)["batch_size"]
    if isinstance(domain, Constant):
        assert examples == domain.value == 1
        return
    assert domain.high <= min(512, examples)
    assert domain.high <= max(32, examples / 20)
    assert domain.contains(domain.default)
    assert lint(Space(batch_size=domain), data_size=examples) == []


def test_usual_sizes():
    assert repr(domains()["batch_size"]) == "Int(16, 512, scale='log')"
    assert domains(60_000)["batch_size"] == domains()["batch_size"]
    assert (domains(5_500)["batch_size"].low, domains(5_500)["batch_size"].high) == (16, 256)


def trained(batch, rate, optimizer, *, beta=0.0, beta_2=0.99, epsilon=0.0):
    """Return mean and spread of a weight on w²/20 after 4,096 examples, over 4,000 runs.

    The gradient of a batch is w / 10 plus noise of standard deviation 1 / sqrt(batch).
    """
    random = np.random.default_rng(0)
    weight, first, second = np.full(4000, 2.0), np.zeros(4000), np.zeros(4000)
    steps = 4096 // batch
    for step in range(1, steps + 1):
        gradient = weight / 10 + random.normal(0, batch**-0.5, 4000)
        if optimizer == "sgd":
            first = beta * first + gradient
            weight = weight - rate * first
        else:
            first = beta * first + (1 - beta) * gradient
            second = beta_2 * second + (1 - beta_2) * gradient**2
            corrected = first / (1 - beta**step), second / (1 - beta_2**step)
            weight = weight - rate * corrected[0] / (np.sqrt(corrected[1]) + epsilon)
    return weight.mean(), weight.std()


def test_sgd_trains_alike_with_the_rescaled_rate():
    before = trained(1, 0.0005, "sgd", beta=0.9)
    rate = rescaled(0.0005, 1, 8, "sgd").learning_rate
    assert trained(8, rate, "sgd", beta=0.9) == pytest.approx(before, rel=0.05)
    mean, spread = before
    by_the_root = trained(8, 0.0005 * 8**0.5, "sgd", beta=0.9)
    assert by_the_root[0] > 2 * mean
    assert abs(by_the_root[1] / spread - 1) > 0.2


def test_adam_trains_alike_with_all_that_is_rescaled():
    given = {"beta_1": 0.98, "beta_2": 0.998, "epsilon": 1.0}
    before = trained(1, 0.01, "adam", beta=0.98, beta_2=0.998, epsilon=1.0)
    new = rescaled(0.01, 1, 8, "adam", **given)
    beta, beta_2, epsilon = new.others.values()
    after = trained(8, new.learning_rate, "adam", beta=beta, beta_2=beta_2, epsilon=epsilon)
    assert after == pytest.approx(before, rel=0.08)
    # Neither the linear rule nor epsilon as it was does the same.
    linear = trained(8, 0.08, "adam", beta=beta, beta_2=beta_2, epsilon=epsilon)
    old_epsilon = trained(8, new.learning_rate, "adam", beta=beta, beta_2=beta_2, epsilon=1.0)
    assert linear[1] > 1.3 * before[1]
    assert old_epsilon[0] > 1.5 * before[0]
