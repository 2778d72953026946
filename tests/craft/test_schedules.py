"""Schedules: one table, three frameworks, and a place in the space."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_table import ROWS, TABLE

import luthier
from luthier.craft import schedules
from luthier.craft.schedules import (
    FAMILIES,
    Cosine,
    Plateau,
    Schedule,
    Step,
    WarmUpStableDecay,
)
from luthier.errors import StudyError
from luthier.space import Float, HyperParameters, Space, discover
from luthier.study.chance import Chance

FLOAT32 = 3e-6  # a few roundings: exponents and angles are float32 as well


@pytest.mark.parametrize(("schedule", "step", "rate"), ROWS)
def test_the_table(schedule, step, rate):
    assert schedule(step) == pytest.approx(rate, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("schedule", "rates"), TABLE)
def test_arrays_of_steps_and_plain_data(schedule, rates):
    steps = np.array([list(rates)])
    np.testing.assert_array_equal(schedule(steps), [[schedule(step) for step in rates]])
    assert Schedule.from_dict(schedule.to_dict()) == schedule
    assert schedule.source


def test_what_needs_no_horizon():
    free = {s.family for s, _ in TABLE if s.horizon_free}
    assert free == {"constant", "exponential", "inverse_square_root"}
    assert Plateau.horizon_free


@pytest.mark.frameworks
def test_optax_runs_the_table():
    import jax
    import jax.numpy as jnp

    for schedule, rates in TABLE:
        made = jax.jit(schedules.as_optax(schedule))
        for step, rate in rates.items():
            assert float(made(jnp.int32(step))) == pytest.approx(rate, rel=FLOAT32, abs=1e-7)


@pytest.mark.frameworks
def test_optax_trains_with_it():
    import jax.numpy as jnp
    import optax

    schedule = Cosine(0.5, 6, warm_up=2)
    optimizer = optax.sgd(schedules.as_optax(schedule))
    weight = jnp.float32(0.0)
    state = optimizer.init(weight)
    seen = []
    for _ in range(6):
        update, state = optimizer.update(jnp.float32(1.0), state)
        seen.append(-float(update))
    np.testing.assert_allclose(seen, schedule(np.arange(6)), rtol=FLOAT32)


@pytest.mark.frameworks
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_keras_runs_the_table(backend):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("keras_schedules.py")],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert backend in done.stdout


def torch_parts(rate=0.1):
    import torch

    model = torch.nn.Linear(2, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": rate * 2}]
    return model, torch.optim.SGD(groups, rate)


def steps_of(schedule, optimizer, count):
    seen = []
    for _ in range(count):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.frameworks
@pytest.mark.parametrize(("schedule", "rates"), TABLE)
def test_torch_runs_the_table(schedule, rates):
    _, optimizer = torch_parts()
    last = min(max(rates), 120)
    seen = steps_of(schedules.as_torch(schedule, optimizer), optimizer, last + 1)
    for step, rate in rates.items():
        if step <= last:
            assert seen[step] == pytest.approx([rate, 2 * rate], rel=1e-9, abs=1e-12)


@pytest.mark.frameworks
def test_another_schedule_of_the_same_optimizer_has_its_own_peak():
    _, optimizer = torch_parts()
    steps_of(schedules.as_torch(Cosine(0.5, 10, warm_up=3), optimizer), optimizer, 20)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)  # where it ended
    seen = steps_of(schedules.as_torch(schedules.Constant(0.1), optimizer), optimizer, 3)
    assert np.allclose(seen, [[0.1, 0.2]] * 3)
    schedules.as_torch(Plateau(0.3), optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == pytest.approx([0.3, 0.6])


@pytest.mark.frameworks
def test_a_first_group_without_a_rate_is_refused():
    _, optimizer = torch_parts()
    optimizer.param_groups[0]["lr"] = 0.0
    for schedule in (Cosine(0.5, 10), Plateau(0.1)):
        with pytest.raises(
            StudyError, match="first group has learning rate 0: give it one above 0"
        ):
            schedules.as_torch(schedule, optimizer)


@pytest.mark.frameworks
def test_torch_goes_on_from_a_checkpoint(tmp_path):
    schedule = Cosine(0.5, 20, 0.1, warm_up=3)
    _, first = torch_parts()
    whole = steps_of(schedules.as_torch(schedule, first), first, 20)

    def parts():
        model, optimizer = torch_parts()
        made = schedules.as_torch(schedule, optimizer)
        return optimizer, made, luthier.torch.State(model=model, optimizer=optimizer, schedule=made)

    optimizer, made, state = parts()
    seen = steps_of(made, optimizer, 8)
    state.save(tmp_path)
    optimizer, made, state = parts()
    state.restore(tmp_path)
    assert seen + steps_of(made, optimizer, 12) == whole


# -- reduce on plateau -------------------------------------------------------------------------


def through(plateau, metrics):
    state, rates = plateau.start(), []
    for metric in metrics:
        state = plateau.step(state, metric)
        rates.append(state.rate)
    return rates


SATURATING = [1.0, 0.8, 0.8, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7, math.nan, 0.6, 0.6, 0.6, 0.6, 0.6]


def test_plateau_goes_from_a_hundredth_to_a_thousandth_to_a_hundred_thousandth():
    plateau = Plateau(1e-2, factor=(0.1, 0.01), patience=1, floor=1e-5)
    #        1.0   0.8   0.8   0.9   0.7   0.7   0.7   0.7   0.7   nan   0.6 ...
    rates = [1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3, 1e-5, 1e-5, 1e-5] + [1e-5] * 6
    assert through(plateau, SATURATING) == pytest.approx(rates)


def test_plateau_by_the_definitions():
    assert through(Plateau(1.0, 0.5, 0), [3, 3, 3]) == [1.0, 0.5, 0.25]
    assert through(Plateau(1.0, 0.5, 2), [3, 3, 3, 3, 3]) == [1, 1, 1, 0.5, 0.5]
    assert through(Plateau(1.0, 0.5, 0, floor=0.3), [3, 3, 3, 3]) == [1, 0.5, 0.3, 0.3]
    assert through(Plateau(1.0, 0.5, 0, mode="max"), [3, 4, 4]) == [1, 1, 0.5]
    assert through(Plateau(1.0, 0.5, 0, least_change=0.5), [3, 2.6, 2.4]) == [1, 0.5, 0.5]
    assert through(Plateau(1.0, 0.5, 0), [math.nan, 1, math.nan]) == [0.5, 0.5, 0.25]


@given(st.lists(st.floats(-10, 10), max_size=40), st.integers(0, 4), st.floats(0.1, 0.9))
def test_plateau_never_rises_and_keeps_its_floor(metrics, patience, factor):
    rates = [1.0, *through(Plateau(1.0, factor, patience, floor=0.01), metrics)]
    assert all(a >= b >= 0.01 for a, b in pairwise(rates))
    assert len(set(rates)) <= 1 + len(metrics) // (patience + 1)


@pytest.mark.frameworks
def test_plateau_in_torch_survives_a_checkpoint(tmp_path):
    plateau = Plateau(1e-2, factor=(0.1, 0.01), patience=1, floor=1e-5)

    def parts():
        model, optimizer = torch_parts()
        made = schedules.as_torch(plateau, optimizer)
        return optimizer, made, luthier.torch.State(model=model, optimizer=optimizer, plateau=made)

    optimizer, made, state = parts()
    seen = []
    for epoch, metric in enumerate(SATURATING):
        if epoch in (3, 6):  # in the middle of waiting
            state.save(tmp_path)
            optimizer, made, state = parts()
            state.restore(tmp_path)
        made.step(metric)
        assert optimizer.param_groups[1]["lr"] == pytest.approx(2 * made.state.rate)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx(through(plateau, SATURATING))


@pytest.mark.frameworks
def test_plateau_in_jax_survives_a_checkpoint(tmp_path):
    plateau = Plateau(1e-2, patience=1)
    state = luthier.jax.State(plateau=plateau.start())
    seen = []
    for metric in SATURATING:
        state.save(tmp_path)
        state = luthier.jax.State(plateau=plateau.start())
        state.restore(tmp_path)
        state.plateau = plateau.step(state.plateau, metric)
        seen.append(state.plateau.rate)
    assert seen == through(plateau, SATURATING)


# -- in the space ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_only_what_is_live_is_searched(family):
    space = schedules.space(list(FAMILIES), peak=(1e-3, 1.0))
    for seed in range(60):
        chance = Chance(seed)
        place = (list(FAMILIES).index(family) + 0.5) / len(FAMILIES)
        draws = {key: chance.uniform(key) for key in space} | {"schedule": place}
        configuration = space.sample(draws.__getitem__)
        assert configuration["schedule"] == family
        own = {key for key in configuration if key.startswith("schedule.")}
        assert all(key.startswith(f"schedule.{family}.") for key in own)
        made = schedules.from_configuration(configuration, 200)
        assert made.family == family
        assert made.peak == configuration["learning_rate"]
        if family != "plateau":
            rates = made(np.arange(250))
            assert rates.min() >= 0
            assert rates.max() <= made.peak * (1 + 1e-12)
            assert made.warm_up == round(configuration.get("schedule_warm_up", 0) * 200)
        assert space.check(configuration) == configuration


def test_define_by_run_asks_for_the_same():
    families = ["cosine", "exponential", "step", "one_cycle"]
    found = discover(lambda hp: schedules.ask(hp, 100, families))
    assert set(found) == set(schedules.space(families))


def test_define_by_run_begins_at_what_a_range_finder_suggests():
    peak = Float(1e-4, 1.0, scale="log", prior=0.3)
    own = Float(1e-4, 1.0, scale="log", prior=0.3, default=0.01)  # the middle, by somebody's word
    for domain, rate in ((peak, 0.3), (own, 0.01)):
        hp = HyperParameters(Space(), {}, lambda key, domain: domain.decode(0.5))
        schedules.ask(hp, 100, ["cosine"], peak=domain)
        assert hp.space.default()["learning_rate"] == pytest.approx(rate)
        assert schedules.space(["cosine"], peak=domain).default()["learning_rate"] == pytest.approx(
            rate
        )


def test_a_schedule_is_tuned(tmp_path):
    """Least squares by gradient descent, 30 steps: the schedule is all there is to find."""

    def train(trial):
        schedule = schedules.from_configuration(trial.configuration, steps=30)
        weights = np.array([1.0, 1.0])
        for step in range(30):
            weights = weights - schedule(step) * np.array([1.0, 0.1]) * weights
        trial.report(error=float(np.abs(weights).max()))

    wanted = schedules.space(["constant", "cosine", "step"], peak=(1e-3, 1.5))
    space = luthier.Space({**wanted.domains, "unused": luthier.Constant(1)})
    result = luthier.tune(
        train, space, minimize="error", max_trials=30, seed=0, storage=tmp_path / "a.db",
        progress=False,
    )  # fmt: skip
    assert result.best_value < 0.2
    families = {t.configuration["schedule"] for t in result.trials}
    assert families == {"constant", "cosine", "step"}
    for trial in result.trials:
        live = {key for key in trial.configuration if "." in key}
        assert all(key.split(".")[1] == trial.configuration["schedule"] for key in live)


@pytest.mark.frameworks
def test_torch_tunes_it_and_steps_every_batch(tmp_path):
    import torch

    x = np.random.default_rng(0).normal(size=(96, 3)).astype(np.float32)
    y = x.sum(axis=1)
    built = []

    def build(hp):
        model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
        optimizer = torch.optim.SGD(model.parameters(), 1.0)
        schedule = schedules.ask(hp, 4 * 3, ["cosine", "plateau"], peak=(0.01, 0.1))
        built.append((schedule, optimizer))
        return model, optimizer, schedules.as_torch(schedule, optimizer)

    result = luthier.torch.tune(
        build, ((x, y), (x, y)), epochs=4, batch_size=32, max_trials=4, seed=1, progress=False,
        storage=tmp_path / "a.db",
    )  # fmt: skip
    assert len(result.trials) == 4
    cosines = [(s, o) for s, o in built[-4:] if s.family == "cosine"]
    assert cosines
    for schedule, optimizer in cosines:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(schedule(12))


# -- what cannot be ----------------------------------------------------------------------------


def live(family, **own):
    values = {f"schedule.{family}.{key}": value for key, value in own.items()}
    return schedules.from_configuration({"learning_rate": 0.1, "schedule": family, **values}, 100)


def test_a_decay_may_take_all_that_the_warm_up_leaves():
    assert WarmUpStableDecay(0.1, 100, 0.5, warm_up=50)(50) == pytest.approx(0.1)
    assert WarmUpStableDecay(0.1, 30, 1 - 1 / 30, warm_up=1)(1) == pytest.approx(0.1)
    assert live("exponential", final_ratio=0.1, staircase=False)(100) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Cosine(-1.0, 10), r"Cosine\(peak=-1.0\): expected a learning rate above 0"),
        (lambda: Cosine(math.nan, 10), "peak=nan"),
        (lambda: Cosine(0.1, 10, warm_up=10), r"steps=10\): expected more steps than the warm-up"),
        (lambda: Step(0.1, (5, 5)), "rising whole numbers"),
        (lambda: schedules.OneCycle(0.1, 10, warm_up=2), "the rise is its warm-up"),
        (lambda: Plateau(0.1, 1.0), r"Plateau\(factor=1.0\)"),
        (lambda: Plateau(0.1, patience=-1), "patience=-1"),
        (lambda: schedules.space(["cosin"]), "Did you mean 'cosine'"),
        (lambda: Schedule.from_dict({"family": "cosin"}), "Did you mean 'cosine'"),
        (lambda: Schedule.from_dict({"family": "cosine", "x": 1}), "no fields of cosine"),
        (lambda: schedules.from_configuration({"schedule": "cosine"}, 9), "no 'learning_rate'"),
        (lambda: schedules.from_configuration({}, 0), "steps=0"),
        (
            lambda: live("step", drops=2),
            r"no 'schedule\.step\.factor', which the schedule 'step' needs",
        ),
        (lambda: live("exponential", final_ratio=0.1), r"no 'schedule\.exponential\.staircase'"),
        (lambda: live("exponential", final_ratio=0.1, staircase=True), r"no '.*\.stairs'"),
        (lambda: live("cosin"), r"schedule='cosin' is no schedule.*Did you mean 'cosine'"),
        (
            lambda: WarmUpStableDecay(0.1, 100, 1.0, warm_up=50),
            r"decay=1\.0\): expected at most 0\.5,",
        ),
        (lambda: schedules.from_configuration({}, 9.5), "steps=9.5: expected .* a whole number"),
        (lambda: Cosine(0.1, 10.5), r"steps=10.5\): expected a whole number .*, such as 10 or 11"),
        (lambda: Cosine(0.1, math.nan), r"steps=nan\): expected a whole number of steps from 1 on"),
        (lambda: Cosine(0.1, 10, warm_up=0.5), r"warm_up=0.5\): expected a whole number"),
        (lambda: Step(0.1, (5, 9.5)), "rising whole numbers"),
        (lambda: schedules.Exponential(0.1, 2.5), r"every=2.5\)"),
        (lambda: schedules.CosineRestarts(0.1, 5, "3"), r"cycles='3'\)"),
        (lambda: schedules.CosineRestarts(0.1, 5, growth=math.inf), r"growth=inf\)"),
        (lambda: Plateau(0.1, patience=True), r"patience=True\): expected a whole number"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(StudyError, match=words):
        make()


@pytest.mark.parametrize(("schedule", "rates"), TABLE)
def test_before_the_first_update_there_is_no_rate(schedule, rates):
    for step in (-3, math.nan, [0, -1]):
        with pytest.raises(StudyError, match=r"step=(-3|nan|-1): expected the number of updates"):
            schedule(step)
    assert schedule.at(np.float64(-3.0), np) == schedule(0)


def test_whole_numbers_of_any_type_are_steps():
    assert Cosine(0.1, 1e3) == Cosine(0.1, np.int64(1000)) == Cosine(0.1, 1000)
    assert type(Cosine(0.1, 1e3).steps) is int
    assert schedules.CosineRestarts(0.1, 5, 3.0)(14) > 0
