"""JAX on real images: what was paused goes on bit for bit, and what goes wrong is told."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import cloudpickle
import jax  # before all that imports it
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import optimizers
from pausing import Pausing, curves, run
from promoting import PROMOTING, check, compared, population

from luthier.datasets import fashion_mnist
from luthier.errors import CheckpointError, StudyError
from luthier.jax import State, tune
from luthier.schedule import SCHEDULERS
from luthier.space import HyperParameters, discover
from luthier.study.records import TrialState
from luthier.train.jax import Training, arrays

pytestmark = pytest.mark.frameworks

# Most of the time goes into compiling the same programs: keep them, for this process alone.
compiled = tempfile.TemporaryDirectory()
jax.config.update("jax_compilation_cache_dir", compiled.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def subset():
    data = fashion_mnist("subset")
    return tuple((x[:1_000].reshape(-1, 784), y[:1_000]) for x, y in (data.train, data.validation))


def measure(logits, labels):
    loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])
    return loss, {"loss": loss, "accuracy": jnp.mean(logits.argmax(1) == labels)}


def build(hp, key):
    """Return a net with all that a checkpoint can forget: Adam, dropout, a batch mean, decay."""
    units = hp.int("units", 16, 32, step=16)
    rate = hp.float("learning_rate", 1e-3, 1e-2, scale="log")
    adam = optimizers.adam(optimizers.exponential_decay(rate, 15, 0.8))
    first, second, dropout = jax.random.split(key, 3)
    params = {
        "in": jax.random.normal(first, (784, units)) / 28,
        "out": jax.random.normal(second, (units, 10)),
    }

    def forward(params, images, mean, kept):
        hidden = jax.nn.relu(images @ params["in"] - mean) * kept
        return hidden @ params["out"]

    def loss_of(params, batch, mean, kept):
        return measure(forward(params, batch[0], mean, kept), batch[1])

    def step(state, batch):
        key, now = jax.random.split(state["key"])
        params = adam.params_fn(state["adam"])
        mean = 0.9 * state["mean"] + 0.1 * jnp.mean(batch[0] @ params["in"], axis=0)
        mean = mean.astype(jnp.bfloat16)
        kept = jax.random.bernoulli(now, 0.7, (units,)) / 0.7
        gradient, metrics = jax.grad(loss_of, has_aux=True)(params, batch, mean, kept)
        moments = adam.update_fn(state["step"], gradient, state["adam"])
        return {"key": key, "step": state["step"] + 1, "adam": moments, "mean": mean}, metrics

    def evaluate(state, batch):
        params = adam.params_fn(state["adam"])
        return loss_of(params, batch, state["mean"], 1.0)[1]

    state = {
        "key": dropout,
        "step": 0,
        "adam": adam.init_fn(params),
        "mean": jnp.zeros(units, jnp.bfloat16),
    }
    return state, step, evaluate


def loop(trial):
    """Train the same in a loop of one's own, in an order that numpy and Python draw."""
    (x, y), validation = arrays(subset())
    tree, step, evaluate = build(trial.hp, jax.random.key(trial.seed))
    step = jax.jit(step)
    state = State(tree=tree, scale=1.0)
    for _ in trial.epochs(state):
        order = np.random.permutation(len(x))
        random.shuffle(order)
        losses = []
        for rows in order[:960].reshape(-1, 64):
            state.tree, metrics = step(state.tree, (state.scale * x[rows], y[rows]))
            losses.append(float(metrics["loss"]))
        state.scale *= 0.99
        trial.report(
            loss=np.mean(losses), val_accuracy=evaluate(state.tree, validation)["accuracy"]
        )


def training():
    return Training(build, *arrays(subset()))


def both():
    return {"loop": loop, "training": training()}


# -- continued = uninterrupted -----------------------------------------------------------------


@pytest.fixture(scope="module")
def space():
    return discover(training().ask)


@pytest.fixture(scope="module")
def whole(space, tmp_path_factory):
    """Return the curves of a trial that nobody paused."""
    folder = tmp_path_factory.mktemp("whole")
    return {k: curves(run(t, folder / k, (6,), space=space)) for k, t in both().items()}


def test_a_paused_trial_has_the_numbers_of_one_that_was_not(whole, space, tmp_path):
    study = run(loop, tmp_path, (1, 3, 5, 6), space=space)
    assert [list(t.steps) for t in study.trials] == [[1, 2, 3, 4, 5, 6]]
    assert curves(study) == whole["loop"]


def test_tune_goes_on_bit_for_bit_too(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEDULERS, "pausing", Pausing)
    result = tune(build, subset(), scheduler=Pausing(), storage=tmp_path / "a.db", progress=False)
    assert curves(result.study) == whole["training"][:1]


def test_a_trial_goes_on_in_a_fresh_process_as_in_this_one(whole, space, tmp_path):
    for kind, train in both().items():
        run(train, tmp_path / kind, (3, 5, 6), space=space, jobs=1)
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from pausing import run; from test_jax import both\n"
            "for kind, train in both().items(): run(train, pathlib.Path(sys.argv[1]) / kind)",
            str(tmp_path),
        ],
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for kind in both():
        study = run(None, tmp_path / kind, jobs=0)
        assert study.trials[0].state is TrialState.COMPLETED
        assert curves(study) == whole[kind][:1]


@pytest.mark.parametrize("scheduler", PROMOTING)
def test_every_scheduler_promotes_without_loss(scheduler, space, tmp_path):
    check(compared(training(), space, tmp_path, scheduler))


def test_a_population_copies_weights(space, tmp_path):
    population(training(), space, tmp_path)


def test_an_heir_keeps_injected_hyperparameters(tmp_path):
    import optax

    params = {"w": jnp.ones(3)}

    def made(rate):
        optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=0.9)
        return optimizer, State(params=params, opt_state=optimizer.init(params))

    optimizer, first = made(0.1)
    _, first.opt_state = optimizer.update({"w": jnp.full(3, 2.0)}, first.opt_state, params)
    first.save(tmp_path)
    _, heir = made(0.4)
    heir.inherit(tmp_path)
    assert float(heir.opt_state.hyperparams["learning_rate"]) == pytest.approx(0.4)
    assert int(heir.opt_state.count) == 1


def test_the_same_seed_gives_the_same_curves_and_another_one_others(tmp_path):
    found = [
        tune(
            build,
            subset(),
            epochs=2,
            max_trials=1,
            seed=seed,
            storage=tmp_path / f"{number}.db",
            progress=False,
        )
        for number, seed in enumerate((3, 3, 4))
    ]
    first, again, other = (curves(result.study) for result in found)
    assert first == again
    assert first != other


# -- what goes wrong ---------------------------------------------------------------------------


def linear(hp, key):
    """Return softmax regression by plain gradient descent."""
    rate = hp.choice("rate", [1e38, 0.1])

    def loss_of(weights, batch):
        return measure(batch[0] @ weights, batch[1])

    def step(weights, batch):
        gradient, metrics = jax.grad(loss_of, has_aux=True)(weights, batch)
        return weights - rate * gradient, metrics

    def evaluate(weights, batch):
        return loss_of(weights, batch)[1]

    return jnp.zeros((784, 10)), step, evaluate


def test_a_diverging_trial_ends_and_the_study_goes_on(tmp_path):
    result = tune(
        linear, subset(), epochs=2, searcher="grid", storage=tmp_path / "a.db", progress=False
    )
    states = {t.configuration["rate"]: t.state for t in result.trials}
    assert states == {1e38: TrialState.DIVERGED, 0.1: TrialState.COMPLETED}
    assert result.configuration == {"rate": 0.1}


def test_an_error_in_build_is_the_users_own(tmp_path):
    def broken(hp, key):
        if isinstance(hp, HyperParameters):  # not while the space is looked for: in the trial
            raise ZeroDivisionError
        return hp.int("units", 1, 4), len, len

    with pytest.raises(ZeroDivisionError):
        tune(broken, subset(), epochs=1, max_trials=1, storage=tmp_path / "a.db", progress=False)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (None, r"must return \(state, step, evaluate\)"),
        (lambda state, batch: (state, 3.0), r"must return \(state, metrics\).*ArrayImpl|float"),
        (lambda state, batch: (state, {"loss": batch[0]}), r"'loss' has shape \(64, 784\)"),
    ],
)
def test_what_build_returns_is_checked(step, words, tmp_path):
    def wrong(hp, key):
        return jnp.zeros(hp.int("units", 1, 4)), step, lambda state, batch: {"accuracy": 0.1}

    with pytest.raises(StudyError, match=words):
        tune(wrong, subset(), epochs=1, max_trials=1, storage=tmp_path / "a.db", progress=False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (3, "got int"),
        (((np.ones((3, 2)), np.ones(4)), (np.ones((3, 2)), np.ones(3))), r"training .*\(4,\)"),
        (((np.ones((3, 2)), np.ones(3)), (np.ones((0, 2)), np.ones(0))), r"validation .*\(0, 2\)"),
    ],
)
def test_data_are_checked(data, words):
    with pytest.raises(StudyError, match=words):
        arrays(data)


@pytest.mark.parametrize("options", [{}, {"scheduler": "auto"}, {"scheduler": None}])
def test_a_training_without_end_is_refused(options):
    with pytest.raises(StudyError, match="epochs is missing"):
        tune(build, subset(), max_trials=1, storage="memory", **options)


def test_large_examples_are_evaluated_in_smaller_batches():
    """They were evaluated 512 at a time, however large, where steps of 8 had fitted into memory."""

    def at_once(values, size):
        x = np.zeros((600, values), "float32")
        return Training(build, (x, x), (x, x))._at_once(size)

    assert at_once(784, 8) == 300  # 600 in even batches of 512 at most
    assert at_once(2**18, 8) == 32  # MiB: one each
    assert at_once(2**18, 64) == 60
    assert at_once(2**18, 200) == 200


# -- the loop ----------------------------------------------------------------------------------


def test_the_best_state_comes_back_as_it_was(tmp_path):
    result = tune(
        build,
        subset(),
        epochs=3,
        searcher="random",
        max_trials=2,
        storage=tmp_path / "a.db",
        progress=False,
    )
    _, validation = arrays(subset())
    units = result.configuration["units"]
    state = result.model()
    assert state["mean"].shape == (units,)
    hidden = jax.nn.relu(validation[0] @ _params(state)["in"] - state["mean"])
    accuracy = float(jnp.mean((hidden @ _params(state)["out"]).argmax(1) == validation[1]))
    assert accuracy == pytest.approx(result.best_value, abs=1e-6)
    assert accuracy > 0.6


def _params(state):
    return optimizers.adam(0.0).params_fn(state["adam"])


@pytest.mark.filterwarnings("ignore:batch_size")  # more than there are examples
def test_each_epoch_sees_each_example_once_and_is_compiled_once(tmp_path):
    traced, (n, n_val) = [], (1_000, 1_000 - 37)

    def counting(hp, key):
        hp.choice("batch_size", [30, 5_000])

        def step(seen, batch):
            traced.append(len(batch[0]))
            return seen.at[batch[0]].add(1), {"most": seen.max()}

        def evaluate(seen, batch):
            return {"mean": jnp.mean(batch[1]), "seen": seen.sum(), "most": seen.max()}

        return jnp.zeros(n, int), step, evaluate

    result = tune(
        counting,
        ((np.arange(n), np.zeros(n)), (np.arange(n_val), np.arange(n_val, dtype=float))),
        maximize="val_mean",
        epochs=3,
        scheduler=None,
        searcher="grid",
        storage=tmp_path / "a.db",
        progress=False,
    )
    last = {t.configuration["batch_size"]: t.metrics[-1] for t in result.trials}
    assert last[30]["val_seen"] == 3 * 990
    assert last[5_000]["val_seen"] == 3 * 1_000
    assert last[30]["val_most"] == last[5_000]["val_most"] == 3
    assert last[30]["val_mean"] == pytest.approx((n_val - 1) / 2, rel=1e-6)
    assert sorted(traced) == [30, 1_000]


def test_the_training_travels_to_other_processes():
    rate = 0.1

    def local(hp, key):
        return jnp.zeros(3), lambda state, batch: (state - rate, {}), lambda state, batch: {}

    copy = pickle.loads(cloudpickle.dumps(Training(local, *arrays(subset()))))
    assert np.array_equal(copy.train[0], training().train[0])


# -- State -------------------------------------------------------------------------------------


def parts(seed):
    value = float(seed)
    return {
        "params": {
            "weight": jax.random.normal(jax.random.key(seed), (3, 4)),
            "bias": jnp.full(4, value, jnp.bfloat16),
            "tiny": jnp.asarray([value], jnp.float8_e4m3fn),
            "half": jnp.asarray(value, jnp.float16),
            "complex": jnp.asarray([1j * value]),
        },
        "others": (seed, value, True, None, np.arange(3) * seed, jnp.asarray(value)),
        "keys": jax.random.split(jax.random.key(seed), 2),
        "rbg": jax.random.key(seed, impl="rbg"),
        "old": jax.random.PRNGKey(seed),
    }


def test_state_keeps_every_kind_of_leaf(tmp_path):
    random.seed(1)
    np.random.seed(1)
    State(**parts(1)).save(tmp_path)
    drawn = random.random(), np.random.normal()
    state = State(**parts(2))
    state.restore(tmp_path)
    assert (random.random(), np.random.normal()) == drawn

    def same(found, expected):
        assert type(found) is type(expected)
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)
        assert getattr(found, "weak_type", None) == getattr(expected, "weak_type", None)
        if jnp.issubdtype(getattr(found, "dtype", None), jax.dtypes.prng_key):
            found, expected = jax.random.key_data(found), jax.random.key_data(expected)
        assert np.array_equal(np.asarray(found), np.asarray(expected))

    expected = parts(1)
    for name in expected:
        jax.tree.map(same, getattr(state, name), expected[name])


def test_state_reads_and_assigns_its_parts_only():
    state = State(params=jnp.zeros(2), step=0)
    state.step += 1
    assert state.step == 1
    with pytest.raises(AttributeError, match="no part 'stepp'; it has params, step"):
        state.stepp = 2
    with pytest.raises(StudyError, match="holds nothing"):
        State()
    with pytest.raises(StudyError, match="'restore'"):
        State(restore=1)


@pytest.mark.parametrize("leaf", ["text", len, np.array(["a"]), object()])
def test_state_says_what_it_cannot_hold(leaf, tmp_path):
    with pytest.raises(StudyError, match=r"\['a'\]\[1\] is a"):
        State(a=(1, leaf)).save(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"weight": jnp.zeros((3, 5))}, r"\['weight'\] is float32\[3, 4\].*now is float32\[3, 5\]"),
        ({"weight": jnp.zeros((3, 4), jnp.bfloat16)}, r"now is bfloat16\[3, 4\]"),
        ({"extra": 1}, r"adds \['params'\]\['extra'\]"),
        ({"bias": None}, r"lacks \['params'\]\['bias'\]"),
        ({"half": jax.random.key(0)}, r"is float16\[\].*now is key<threefry2x32>"),
    ],
)
def test_state_says_what_does_not_fit(changed, words, tmp_path):
    with pytest.raises(CheckpointError, match="missing"):
        State(**parts(1)).restore(tmp_path)
    State(**parts(1)).save(tmp_path)
    other = parts(2)
    other["params"] |= changed
    with pytest.raises(CheckpointError, match=words):
        State(**other).restore(tmp_path)


def test_another_kind_of_key_does_not_fit(tmp_path):
    State(key=jax.random.key(0)).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"is key<threefry2x32>.*now is key<rbg>"):
        State(key=jax.random.key(0, impl="rbg")).restore(tmp_path)


def test_a_state_may_hold_one_array_twice():
    def build(hp, key):
        rate = hp.float("rate", 0.1, 1.0)
        zeros = jnp.zeros(3)

        def step(state, batch):
            weights, momentum = state
            loss, slope = jax.value_and_grad(lambda w: jnp.mean((batch[0] @ w - batch[1]) ** 2))(
                weights
            )
            momentum = 0.9 * momentum + slope
            return (weights - rate * 0.01 * momentum, momentum), {"loss": loss}

        def evaluate(state, batch):
            return {"error": jnp.mean((batch[0] @ state[0] - batch[1]) ** 2)}

        return (zeros, zeros), step, evaluate

    x = np.ones((20, 3), np.float32)
    data = ((x, x[:, 0]), (x, x[:, 0]))
    result = tune(
        build, data, minimize="val_error", epochs=2, max_trials=2, storage="memory", progress=False
    )
    assert all(trial.step == 2 for trial in result.trials)
