"""The range finder: what it reads off curves, its words and picture, and its edges in JAX and PyTorch."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier
from luthier.craft.range_finder import read, smooth, sweep_rates
from luthier.errors import StudyError
from luthier.train.range_sweep import batches, endless, sweep, training_part

RATES = sweep_rates(1e-6, 100.0, 161)


def curve(fall=1e-3, rise=0.1, first=2.3, lowest=0.3, noise=0.0, sweeps=3, seed=0):
    """Return losses that fall halfway at *fall*, and at *rise* are halfway up to a far higher loss."""
    logs = np.log10(RATES)
    down = 1 / (1 + np.exp(-(logs - math.log10(fall)) * 4))
    up = 1 / (1 + np.exp(-(logs - math.log10(rise)) * 6))
    draws = np.random.default_rng(seed).normal(size=(sweeps, len(RATES)))
    return first - (first - lowest) * down + 20 * up + noise * draws


# -- reading -----------------------------------------------------------------------------------


def test_what_it_reads_off_a_smooth_curve():
    """By the curve's formula a share q of the fall is done where 4·log10(α/10⁻³) = ln(q/(1 − q)).

    It has risen again to that height where 20·up = 2(1 − q), so 6·log10(α/30) = ln((1 − q)/(9 + q)).
    """
    found = read(RATES, curve(rise=30.0))
    assert found.problem is None
    q = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    falls = -3 + np.mean(np.log(q / (1 - q))) / 4
    rises = math.log10(30) + np.mean(np.log((1 - q) / (9 + q))) / 6
    expected = 10 ** (2 / 3 * falls + 1 / 3 * rises) / 1.5
    assert found.suggestion == pytest.approx(expected, rel=0.1)
    assert found.low == pytest.approx(10 ** (-3 - math.log(9) / 4), rel=0.25)
    assert found.steepest == pytest.approx(1e-3, rel=0.15)
    assert found.initial == pytest.approx(2.3, rel=0.01)
    assert found.low < found.steepest < found.suggestion < found.minimum < found.divergence
    assert found.high == found.divergence
    # 20·up is 1.6 where e^(6x) = 1.6/18.4, x = -0.41 decades before the rise
    assert found.divergence == pytest.approx(30 * 10**-0.41, rel=0.3)


def test_smoothing_does_not_shift():
    """The two averages of a straight line lag by as much, to either side, far from its ends."""
    line = np.arange(200.0)
    np.testing.assert_allclose(smooth(line, 0.8)[60:-60], line[60:-60], atol=0.01)
    assert smooth(np.array([3.0]), 0.9).tolist() == [3.0]  # the bias is corrected
    np.testing.assert_allclose(smooth(np.full(9, 7.0), 0.9), 7.0)


def test_bias_corrected_averages_by_hand():
    # from the left 1, (0.25·1 + 0.5·3)/0.75; from the right (0.25·3 + 0.5·1)/0.75, 3
    np.testing.assert_allclose(
        smooth(np.array([1.0, 3.0]), 0.5), [(1 + 5 / 3) / 2, (7 / 3 + 3) / 2]
    )


@settings(max_examples=40, deadline=None)
@given(
    fall=st.floats(1e-4, 1e-1), ratio=st.floats(60, 500), scale=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_suggestion_lies_between_steepest_and_divergence(fall, ratio, scale, seed):
    losses = scale * curve(fall, fall * ratio, noise=0.05, seed=seed)
    found = read(RATES, losses)
    assert found.low < found.suggestion <= found.minimum < found.divergence
    assert 0.7 * fall < found.suggestion < 8 * fall
    again = read(RATES * 10, losses)
    assert again.suggestion == pytest.approx(10 * found.suggestion)
    domain = found.domain()
    assert domain.scale == "log"
    assert domain.low < domain.prior < domain.high
    assert domain.prior == found.suggestion


def test_noise_moves_it_by_less_than_a_factor_of_two():
    found = [read(RATES, curve(noise=0.25, seed=seed)).suggestion for seed in range(10)]
    assert max(found) / min(found) < 2


def test_where_the_loss_begins_moves_it_little():
    """Initial weights decide that; the loss at higher rates does not depend on it."""
    found = []
    for first in (1.0, 2.0, 4.0):
        losses = 0.1 + 1 / (1 / first + 500 * RATES) + (RATES / 10) ** 2
        found.append(read(RATES, losses).suggestion)
    assert max(found) / min(found) < 2  # where a share of the drop is done moves by a factor of 4


def test_without_a_rise_the_highest_rate_stands_for_it():
    wide, narrow = sweep_rates(1e-6, 100.0, 161), sweep_rates(1e-6, 1.0, 121)
    found = [read(r, 0.3 + 2 / (1 + (r / 1e-3) ** 2)) for r in (wide, narrow)]
    assert found[0].divergence is found[1].divergence is None
    ratio = found[0].suggestion / found[1].suggestion
    assert ratio == pytest.approx(100 ** (1 / 3), rel=0.05)
    assert all(f.suggestion <= f.minimum for f in found)


def test_sweeps_that_stopped_or_exploded_count_as_the_ceiling():
    losses = curve()
    whole = read(RATES, losses)
    for bad in (np.nan, np.inf, 1e30):
        cut = losses.copy()
        cut[cut > 5] = bad
        found = read(RATES, cut)
        assert found.suggestion == pytest.approx(whole.suggestion, rel=0.02)
        assert found.divergence == pytest.approx(whole.divergence, rel=0.02)


def test_a_flat_curve_is_called_flat():
    flat = 2.3 + 0.1 * np.random.default_rng(0).normal(size=(3, len(RATES)))
    for losses in (flat, np.full(len(RATES), 0.7), np.zeros(len(RATES))):
        found = read(RATES, losses)
        assert found.problem == "flat"
        assert found.suggestion is None
        assert "at none of these rates does the model learn" in found.explain()
        with pytest.raises(StudyError, match="no range"):
            found.domain()
        found.picture()


@pytest.mark.parametrize("seed", range(4))
def test_labels_that_cannot_be_learned_are_called_flat(seed):
    """Only the output's bias learns: ten classes drawn by chance, among inputs that say nothing of them."""
    chance = np.random.default_rng(seed)
    labels = np.eye(10)[chance.integers(0, 10, 600)]

    def losses():
        bias, drawn = chance.uniform(-0.04, 0.04, 10), batches(600, 64, seed, 0)
        for rate in RATES:
            targets = labels[next(drawn)]
            shifted = bias - bias.max()
            log_odds = shifted - np.log(np.exp(shifted).sum())
            yield -(targets @ log_odds).mean()
            bias = bias - rate * (np.exp(log_odds) - targets.mean(axis=0))

    found = read(RATES, [list(losses()) for _ in range(3)])
    assert found.problem == "flat"
    assert (found.low, found.suggestion) == (None, None)
    assert found.divergence is None or f"until it rose at {found.divergence:.2g}" in found.explain()


def test_noise_before_the_fall_is_no_part_of_the_range():
    for seed in range(10):
        found = read(RATES, curve(lowest=2.1, noise=0.05, seed=seed))
        assert found.problem is None
        assert found.low > 5e-5  # a tenth of the fall is done at 2.8e-4
        assert found.low <= found.suggestion


def test_the_words_of_its_picture_do_not_lie_on_the_curve():
    figure = read(RATES, curve(noise=0.05)).picture()
    figure.canvas.draw()
    [words] = figure.legends
    assert words.get_window_extent().y1 < figure.axes[0].get_window_extent().y0
    assert {"a sweep", "mean, smoothed"} <= {text.get_text() for text in words.get_texts()}


@pytest.mark.parametrize("start", [0, 3, 40])
def test_a_curve_that_only_rises_is_said_to(start):
    losses = np.full((2, len(RATES)), 2.3) + 0.01 * np.random.default_rng(1).normal(
        size=(2, len(RATES))
    )
    losses[:, start:] += np.linspace(0, 50, len(RATES) - start)
    losses[:, start + 30 :] = np.nan
    found = read(RATES, losses)
    assert found.problem == "rising"
    assert found.suggestion is None
    assert "diverges before it learns" in found.explain()
    assert found.divergence < RATES[start + 30]


def test_losses_that_are_no_numbers_from_the_first_batch_on_are_said_to_be():
    found = read(RATES, np.full((2, len(RATES)), np.nan))
    assert found.problem == "not finite"
    assert math.isnan(found.initial)
    assert (
        "No batch at the lowest rates, from 1e-06 on, gave a loss that is a number"
        in found.explain()
    )
    assert "0 " not in found.explain().partition("gave")[0]
    found.picture()
    with pytest.raises(StudyError, match="no range: No batch"):
        found.domain()


def test_a_curve_that_still_falls_is_said_to():
    found = read(RATES, curve(fall=50.0, rise=1e9, noise=0.01))
    assert found.problem == "falling"
    assert found.divergence is None
    assert found.high == pytest.approx(100.0)
    assert "higher high=" in found.explain()


def test_what_cannot_be_read():
    for arguments, words in [
        ((RATES, np.zeros((2, 5))), r"shape \(161,\), losses \(2, 5\)"),
        ((RATES[::-1], np.zeros(161)), "rise from above 0"),
        ((RATES[:5], np.zeros(5)), "at least 20"),
    ]:
        with pytest.raises(StudyError, match=words):
            read(*arguments)
    with pytest.raises(StudyError, match="0 < low < high"):
        sweep_rates(0.1, 0.01, 100)
    with pytest.raises(StudyError, match="at least 20 rates"):
        sweep_rates(1e-3, 1, 10)
    for sweeps in (0, -1, 1.5, True):
        with pytest.raises(StudyError, match=f"sweeps={sweeps}: expected a whole number above 0"):
            sweep_rates(1e-3, 1, 20, sweeps)


# -- words and picture -------------------------------------------------------------------------


def test_its_words_name_every_rate():
    found = read(RATES, curve(noise=0.05))
    text = found.explain()
    for rate in (found.low, found.steepest, found.minimum, found.divergence, found.suggestion):
        assert f"{rate:.2g}" in text
    assert "began at 2.3" in text


def test_its_picture_holds_the_curve_and_the_marks():
    found = read(RATES, curve(noise=0.05))
    axes = found.picture().axes[0]
    assert axes.get_xscale() == "log"
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["mean, smoothed"].get_xdata(), found.rates)
    np.testing.assert_array_equal(lines["mean, smoothed"].get_ydata(), found.smoothed)
    np.testing.assert_array_equal(lines["a sweep"].get_ydata(), found.losses[0])
    for name in ("suggestion", "steepest", "minimum", "divergence"):
        [line] = [line for label, line in lines.items() if label.startswith(name)]
        assert line.get_xdata()[0] == getattr(found, name)
    [band] = [patch for patch in axes.patches if patch.get_label() == "range to search"]
    assert band.get_x() == found.low
    assert band.get_x() + band.get_width() == pytest.approx(found.high)
    assert axes.get_xlabel().startswith("learning rate")


# -- sweeping ----------------------------------------------------------------------------------


def test_a_sweep_stops_when_the_loss_runs_away():
    def train(rate):
        return 2.0 if rate < 1e-3 else 2.0 + rate * 1e4

    losses = sweep(train, RATES)
    stopped = int(np.flatnonzero(np.isnan(losses))[0])
    assert RATES[stopped] < 2e-3
    calls = []
    sweep(lambda rate: calls.append(rate) or math.nan, RATES)
    assert len(calls) == 1
    assert np.isfinite(sweep(lambda rate: 2.0 + math.sin(1e6 * rate), RATES)).all()


def test_each_epoch_sees_each_example_once_in_another_order():
    drawn = batches(10, 4, seed=3, index=0)
    epochs = [np.concatenate([next(drawn), next(drawn)]) for _ in range(3)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    again = batches(10, 4, seed=3, index=0)
    assert next(again).tolist() == epochs[0][:4].tolist()
    other = batches(10, 4, seed=3, index=1)
    assert next(other).tolist() != epochs[0][:4].tolist()
    assert len(next(batches(3, 3, seed=0, index=0))) == 3
    with pytest.raises(StudyError, match="batch_size=100 is more than the 3 examples"):
        next(batches(3, 100, seed=0, index=0))


def test_loaders_begin_again():
    drawn = endless([1, 2])
    assert [next(drawn) for _ in range(5)] == [1, 2, 1, 2, 1]
    with pytest.raises(StudyError, match="without a batch"):
        next(endless(iter([])))
    pair = (np.zeros(3), np.ones(3))
    assert training_part((pair, pair)) is pair
    assert training_part(pair) is pair


# -- frameworks --------------------------------------------------------------------------------


def images(count=600):
    x, y = luthier.datasets.fashion_mnist("subset").train
    return np.asarray(x[:count], np.float32).reshape(count, -1), y[:count]


def global_state():
    return random.getstate(), str(np.random.get_state()[1].tolist()), np.random.get_state()[2:]


@pytest.mark.frameworks
def test_jax_finds_one_and_draws_from_no_global_generator():
    import jax
    import jax.numpy as jnp

    def step(state, batch, rate):
        def loss_of(w):
            return -jax.nn.log_softmax(batch[0] @ w)[jnp.arange(len(batch[1])), batch[1]].mean()

        loss, gradient = jax.value_and_grad(loss_of)(state)
        return state - rate * gradient, {"loss": loss}

    state = jnp.zeros((784, 10))
    before = global_state()
    found = luthier.jax.find_learning_rate(step, state, images(), seed=1)
    assert global_state() == before
    assert found.problem is None
    assert 3e-3 < found.suggestion < 0.3  # where softmax regression on these images trains well
    assert found.divergence > 3 * found.suggestion
    assert found.initial == pytest.approx(math.log(10), abs=0.05)
    again = luthier.jax.find_learning_rate(step, state, images(), seed=1)
    np.testing.assert_array_equal(again.losses, found.losses)

    drawn = luthier.jax.find_learning_rate(
        step, lambda key: 0.01 * jax.random.normal(key, (784, 10)), images(), sweeps=2
    )
    assert drawn.losses[0, 0] != drawn.losses[1, 0]
    with pytest.raises(StudyError, match="must hold"):
        luthier.jax.find_learning_rate(step, state, 3)


@pytest.mark.frameworks
def test_a_state_that_can_be_called_is_no_function_that_makes_one():
    from dataclasses import dataclass

    import jax
    import jax.numpy as jnp

    @jax.tree_util.register_dataclass
    @dataclass
    class Net:
        weights: jax.Array

        def __call__(self, x):
            return x @ self.weights

    def step(net, batch, rate):
        def loss_of(net):
            return -jax.nn.log_softmax(net(batch[0]))[jnp.arange(len(batch[1])), batch[1]].mean()

        loss, gradient = jax.value_and_grad(loss_of)(net)
        return jax.tree.map(lambda w, g: w - rate * g, net, gradient), loss

    net = Net(jnp.zeros((784, 10)))
    found = luthier.jax.find_learning_rate(step, net, images(), steps=40, sweeps=1)
    assert found.initial == pytest.approx(math.log(10), abs=0.05)


@pytest.mark.frameworks
def test_torch_finds_one_and_leaves_everything_as_it_was():
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(784, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10)
    )
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 2e-3}, {"params": model[4].parameters()}], 1e-3
    )
    x, y = images()
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y).long()

    def train_once():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[:64]), targets[:64])
        loss.backward()
        optimizer.step()
        return loss.item()

    def everything():
        parts = [*model.state_dict().values(), *(p.grad for p in model.parameters())]
        moments = [s[k] for s in optimizer.state.values() for k in sorted(s)]
        return [part.clone() for part in parts + moments], [g["lr"] for g in optimizer.param_groups]

    train_once()
    model.eval()
    before, rates = everything()
    random_before = global_state(), torch.get_rng_state()
    found = luthier.torch.find_learning_rate(model, optimizer, (x, y))
    after, rates_after = everything()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert len(before) == len(after)
    assert rates == rates_after == [2e-3, 1e-3]
    assert global_state() == random_before[0]
    assert torch.equal(torch.get_rng_state(), random_before[1])
    assert not any(module.training for module in model.modules())
    assert found.problem is None
    assert 1e-4 < found.suggestion < 0.1

    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, targets), 64, shuffle=True
    )
    from_loader = luthier.torch.find_learning_rate(model, optimizer, loader, sweeps=2)
    assert torch.equal(torch.get_rng_state(), random_before[1])
    assert 0.3 < from_loader.suggestion / found.suggestion < 3

    # what is trained next is what would have been trained without the test
    model.train()
    copies = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    with_test = train_once()
    torch.set_rng_state(copies[0])
    model.load_state_dict(copies[1])
    assert train_once() == with_test


@pytest.mark.frameworks
def test_torch_puts_back_what_no_state_holds():
    import torch
    from torch import nn
    from torch.utils import data

    class Counting(nn.Linear):
        def __init__(self):
            super().__init__(784, 10)
            self.register_buffer("batches", torch.zeros(1), persistent=False)
            self.register_buffer("mean", torch.zeros(1), persistent=False)

        def forward(self, x):
            self.batches += 1
            self.mean = 0.9 * self.mean + 0.1 * x.mean()
            return super().forward(x)

    x, y = (torch.from_numpy(np.asarray(part)) for part in images())
    examples, own, others = data.TensorDataset(x, y.long()), *map(torch.Generator, ("cpu", "cpu"))
    model = Counting()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sampler = data.RandomSampler(examples, generator=others)
    for loader in (
        data.DataLoader(examples, 64, shuffle=True, generator=own),
        data.DataLoader(examples, 64, sampler=sampler),
        data.DataLoader(examples, batch_sampler=data.BatchSampler(sampler, 64, drop_last=True)),
    ):
        before = own.get_state(), others.get_state(), model.mean
        found = luthier.torch.find_learning_rate(model, optimizer, loader, steps=40, sweeps=2)
        assert torch.equal(own.get_state(), before[0])
        assert torch.equal(others.get_state(), before[1])
        assert model.mean is before[2]
        assert model.batches == model.mean == 0
        assert found.losses[0, 0] != found.losses[1, 0]  # each sweep over other batches


@pytest.mark.frameworks
def test_torch_is_put_back_even_after_an_error():
    import torch
    from torch import nn

    model = nn.Linear(784, 10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    calls = []

    def loss(outputs, targets):
        calls.append(1)
        if len(calls) > 60:
            raise ZeroDivisionError
        return nn.functional.cross_entropy(outputs, targets)

    with pytest.raises(ZeroDivisionError):
        luthier.torch.find_learning_rate(model, optimizer, images(), loss=loss, low=0.01)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.frameworks
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras(backend):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("keras_range_finder.py")],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert backend in done.stdout
