"""luthier.jax.State in a loop of one's own that mixes numpy's numbers with JAX's."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pausing import curves, run

import luthier
from luthier.craft import schedules
from luthier.errors import CheckpointError, StudyError
from luthier.jax import State

pytestmark = pytest.mark.frameworks


def train(trial):
    """Fit a line, its weights begun by numpy and continued by JAX, the best loss told by both."""

    @jax.jit
    def step(weights):
        return weights - 0.1 * trial["rate"] * weights

    state = State(weights=np.random.default_rng(trial.seed).normal(size=3), best=math.inf, step=0)
    for _ in trial.epochs(state):
        state.weights = step(state.weights)
        state.best = min(state.best, np.mean(np.square(np.asarray(state.weights))))
        state.step += np.int64(1)
        trial.report(loss=state.best)


def test_a_paused_trial_goes_on_whose_state_began_with_numpys_numbers(tmp_path):
    space = luthier.Space(rate=luthier.Float(0.1, 1.0))
    paused, whole = (
        run(train, tmp_path / name, stops, space=space, maximize=None, minimize="loss")
        for name, stops in (("paused", (1, 3, 5, 6)), ("whole", (6,)))
    )
    assert [trial.step for trial in paused.trials] == [6]
    assert curves(paused) == curves(whole)


@pytest.mark.parametrize(
    ("saved", "now"),
    [
        (jnp.ones(2), np.zeros(2)),
        (np.ones(2), jnp.zeros(2)),
        (np.float64(1.0), math.inf),
        (1.5, np.float64(0.0)),
        (np.int64(3), 0),
        (jnp.ones(2, jnp.bfloat16), np.zeros(2, jnp.bfloat16)),
    ],
)
def test_what_jax_computes_with_is_one_dtype_whoever_holds_it(saved, now, tmp_path):
    State(leaf=saved).save(tmp_path)
    state = State(leaf=now)
    state.restore(tmp_path)
    assert getattr(state.leaf, "dtype", None) == getattr(saved, "dtype", None)
    assert np.array_equal(np.asarray(state.leaf), np.asarray(saved))


def test_numpys_numbers_of_another_kind_do_not_fit(tmp_path):
    State(leaf=np.ones(2)).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"is float32\[2\].*now is int32\[2\]"):
        State(leaf=np.ones(2, np.int64)).restore(tmp_path)


@pytest.mark.parametrize("name", ["save", "inherit", "looks_at", "ready", "every_rank"])
def test_a_part_is_not_called_as_what_the_loop_looks_for(name):
    with pytest.raises(StudyError, match=f"{name!r}, which trial.epochs"):
        State(params=jnp.zeros(2), **{name: jnp.ones(2)})


def test_the_best_state_comes_back_whose_schedule_is_drawn_to_the_horizon():
    def build(hp, key):
        rates = [schedules.Cosine(1e-2, 4 * hp.horizon, warm_up=6)(t) for t in range(12)]

        def step(weights, batch):
            loss = jnp.mean((batch[0] @ weights - batch[1]) ** 2)
            return weights - hp.float("share", 0.1, 1.0) * rates[0] * weights, {"loss": loss}

        def evaluate(weights, batch):
            return {"error": jnp.mean((batch[0] @ weights - batch[1]) ** 2)}

        return jnp.ones(3), step, evaluate

    x = np.ones((20, 3), np.float32)
    data = ((x, x[:, 0]), (x, x[:, 0]))
    options = {"minimize": "val_error", "epochs": 3, "max_trials": 1, "storage": "memory"}
    space = luthier.Space(share=luthier.Float(0.1, 1.0))
    result = luthier.jax.tune(build, data, space=space, progress=False, **options)
    assert result.model().shape == (3,)
