"""What holds for Keras on every backend; ``keras_runs.py`` runs it, once for each."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from pausing import curves, run
from promoting import PROMOTING, check, compared, population

import luthier
from luthier.errors import StudyError
from luthier.keras import State, fit, tune
from luthier.space import discover
from luthier.study.records import TrialState
from luthier.train.keras import Training

DATA = luthier.datasets.fashion_mnist("subset")
BACKEND = keras.backend.backend()
# A graph is compiled anew for every job, which takes seconds, most on TensorFlow: each backend tries
# some of them.
OTHERS = [name for name in PROMOTING if name != "asha"]
OWN_SHARE = {"tensorflow": ["asha"], "torch": OTHERS[::2], "jax": OTHERS[1::2]}[BACKEND]
QUICKER_ELSEWHERE = pytest.mark.skipif(
    BACKEND == "tensorflow", reason="it hangs on no backend, and takes long on this one"
)
SMALL = tuple((x[:600], y[:600]) for x, y in (DATA.train, DATA.validation))
FEW = tuple((x[:300], y[:300]) for x, y in SMALL)


def build(hp):
    """Return a net with all that a checkpoint can forget."""
    rate = hp.float("learning_rate", 1e-3, 1e-2, scale="log")
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(hp.int("units", 16, 32, step=16)),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    decay = keras.optimizers.schedules.ExponentialDecay(rate, decay_steps=8, decay_rate=0.8)
    model.compile(
        keras.optimizers.Adam(decay, clipnorm=1.0, use_ema=True),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def build_plateau(hp):
    model = build(hp)
    model.compile(
        keras.optimizers.SGD(hp.float("rate", 0.01, 0.1, scale="log"), momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def callbacks():
    return [
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0),
        keras.callbacks.EarlyStopping("val_loss", patience=50, restore_best_weights=True),
    ]


@pytest.mark.parametrize(
    ("made", "listeners", "trials"),
    [(build, (), 1 if BACKEND == "tensorflow" else 2), (build_plateau, callbacks, 1)],
    ids=["adam", "plateau"],
)
def test_continued_equals_uninterrupted(tmp_path, made, listeners, trials):
    """Paused at epochs 1 and 4, the curves are the same bit for bit, also of two trials in turns."""
    training = Training(made, FEW, 64, listeners)
    space = discover(made)
    whole = run(training, tmp_path / "whole", stops=(6,), space=space, trials=trials)
    paused = run(training, tmp_path / "paused", stops=(1, 4, 6), space=space, trials=trials)
    assert len(curves(whole)[0]) == 6
    assert curves(paused) == curves(whole)
    assert curves(whole)[0][0][1]["loss"] > curves(whole)[0][-1][1]["loss"]


@pytest.mark.parametrize("scheduler", OWN_SHARE)
def test_every_scheduler_promotes_without_loss(scheduler, tmp_path):
    # Freeze-thaw pauses after every epoch.
    trials = {"freeze thaw": 2, "asha": 3}.get(scheduler, 4)
    check(
        compared(Training(build, SMALL, 200), discover(build), tmp_path, scheduler, trials=trials)
    )


def build_with_a_rate(hp):
    model = build(hp)
    model.compile(
        keras.optimizers.Adam(hp.float("learning_rate", 1e-3, 1e-2, scale="log")),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


@pytest.mark.skipif(BACKEND != "torch", reason="one backend shows it")
def test_a_population_copies_weights_and_changes_rates(tmp_path):
    training = Training(build_with_a_rate, SMALL, 100)
    study = population(training, discover(build_with_a_rate), tmp_path)
    [heir] = [t for t in study.trials if t.parent >= 0][:1]
    assert heir.configuration["units"] == study.trials[heir.parent].configuration["units"]


def test_fit_on_all_data(tmp_path):
    """On the same data for the same epochs it is the same model, bit for bit; callbacks must not stop it."""

    def small(hp):
        model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
        model.add(keras.layers.Dense(10, activation="softmax"))
        rate = hp.float("rate", 0.01, 0.1, scale="log")
        model.compile(keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy",
                      metrics=["accuracy"])  # fmt: skip
        return model

    result = tune(
        small, SMALL, epochs=2, max_trials=1, batch_size=100, progress=False,
        storage=tmp_path / "s.db", callbacks=[keras.callbacks.EarlyStopping("loss", baseline=0.0)],
    )  # fmt: skip
    [trial] = result.trials
    same = result.fit(SMALL[0], epochs=trial.best_step)
    for mine, other in zip(same.get_weights(), result.model().get_weights(), strict=True):
        assert np.array_equal(mine, other)
    seen = result.fit(epochs=2)
    assert int(seen.optimizer.iterations) == 2 * 12  # 1200 examples, 100 a batch
    with pytest.raises(StudyError, match="cannot be joined and shuffled together here"):
        Training(build, (iter(()), iter(())), 32).on_all()


def test_an_heir_keeps_its_own_rate(tmp_path):
    first, heir = (
        build_with_a_rate(
            luthier.HyperParameters(
                discover(build_with_a_rate), {"learning_rate": r, "units": 16}, None
            )
        )
        for r in (0.002, 0.008)
    )
    first.fit(*SMALL[0], epochs=1, verbose=0)
    State(first).save(tmp_path)
    State(heir).inherit(tmp_path)
    assert float(heir.optimizer.learning_rate.numpy()) == pytest.approx(0.008)
    assert int(heir.optimizer.iterations.numpy()) == int(first.optimizer.iterations.numpy()) > 0
    for one, other in zip(first.get_weights(), heir.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_training_twice(tmp_path):
    results = [
        tune(build, FEW, epochs=2, max_trials=2, seed=0, name="s", storage=tmp_path / f"{i}.db")
        for i in (1, 2)
    ]
    first, second = (curves(result.study) for result in results)
    assert first == second
    other = tune(build, FEW, epochs=2, max_trials=1, seed=1, name="s", storage=tmp_path / "3.db")
    assert curves(other.study)[0] != first[0]


def test_a_promoted_trial_goes_on_and_the_best_model_comes_back(tmp_path):
    result = tune(
        build_with_a_rate, SMALL, epochs=3, scheduler="successive halving", max_trials=3, name="s",
        storage=tmp_path / "l.db",
    )  # fmt: skip
    assert sorted(len(t.steps) for t in result.trials) == [1, 1, 3]
    assert result.study.history.epochs == sum(len(t.steps) for t in result.trials)
    scores = result.model().evaluate(*SMALL[1], verbose=0, return_dict=True)
    assert math.isclose(scores["accuracy"], result.best_value, abs_tol=1e-6)


@QUICKER_ELSEWHERE
def test_a_cosine_over_the_full_budget_warns_and_one_tied_to_the_rung_does_not(tmp_path):
    def cosine(tied):
        def compiled(hp):
            model = build(hp)
            epochs = hp.to_step if tied else hp.horizon
            rate = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=2 * epochs)
            sgd = keras.optimizers.SGD(rate)
            model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
            return model

        return compiled

    options = {"epochs": 3, "scheduler": "successive halving", "max_trials": 3, "batch_size": 300}
    tune(cosine(True), SMALL, name="tied", storage=tmp_path / "l.db", **options)
    with pytest.warns(luthier.LuthierWarning, match="CosineDecay runs over 3 epochs.*epoch 1 on"):
        tune(cosine(False), SMALL, name="full", storage=tmp_path / "l.db", **options)


def test_a_trial_that_diverges_does_not_end_the_study(tmp_path):
    def explosive(hp):
        model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
        model.add(keras.layers.Dense(1))
        rate = hp.choice("rate", [1e-3, 1e30])
        model.compile(keras.optimizers.SGD(rate), loss="mse", metrics=["accuracy"])
        return model

    result = tune(
        explosive, SMALL, epochs=3, searcher="grid", minimize="val_loss", name="s",
        storage=tmp_path / "l.db",
    )  # fmt: skip
    assert [t.state for t in result.trials] == [TrialState.COMPLETED, TrialState.DIVERGED]
    assert result.configuration == {"rate": 1e-3}


@QUICKER_ELSEWHERE
def test_batch_size_can_be_searched(tmp_path):
    def sized(hp):
        hp.choice("batch_size", [100, 300])
        return build(luthier.HyperParameters(space, {"learning_rate": 1e-3, "units": 16}, None))

    space, steps = discover(build), []

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            steps.append(int(np.asarray(self.model.optimizer.iterations)))

    result = tune(
        sized, SMALL, epochs=1, searcher="grid", callbacks=lambda: [Count()], name="s",
        storage=tmp_path / "l.db",
    )  # fmt: skip
    assert steps == [600 // t.configuration["batch_size"] for t in result.trials]
    assert set(steps) == {2, 6}


def test_ones_own_training_function(tmp_path):
    space = luthier.Space(units=luthier.Int(8, 32))

    def train(trial):
        model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
        model.add(keras.layers.Dense(trial["units"], activation="relu"))
        model.add(keras.layers.Dense(10, activation="softmax"))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        fit(trial, model, SMALL, batch_size=64)

    result = luthier.tune(
        train, space, maximize="val_accuracy", epochs=3, scheduler="successive_halving", name="s",
        storage=tmp_path / "l.db",
    )  # fmt: skip
    assert result.best.step == 3


@QUICKER_ELSEWHERE
def test_errors_are_the_users_own(tmp_path):
    options = {"epochs": 1, "max_trials": 2, "storage": tmp_path / "l.db"}
    with pytest.raises(ZeroDivisionError):
        tune(lambda hp: 1 / 0, SMALL, name="a", **options)
    with pytest.raises(StudyError, match="must return a compiled"):
        tune(lambda hp: None, SMALL, name="b", **options)
    with pytest.raises(StudyError, match="not compiled"):
        tune(lambda hp: keras.Sequential([keras.layers.Dense(1)]), SMALL, name="c", **options)
    with pytest.raises(StudyError, match="data must be"):
        tune(build, SMALL[0][0], name="d", **options)
    with pytest.raises(StudyError, match=r"one length, got \[600, 5\]"):
        tune(build, ((SMALL[0][0], SMALL[0][1][:5]), SMALL[1]), name="e", **options)
    with pytest.raises(StudyError, match=r"no metric 'val_acc'.*Did you mean 'val_accuracy'"):
        tune(build, SMALL, name="f", maximize="val_acc", **options)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    class Fixed:
        def __init__(self, units):
            self.units = units

        def float(self, *args, **kwargs):
            return 1e-3

        def int(self, *args, **kwargs):
            return self.units

    State(build(Fixed(16))).save(tmp_path)
    with pytest.raises(luthier.LuthierError, match="no longer makes the model"):
        State(build(Fixed(32))).restore(tmp_path)


class Called(keras.Model):
    """A model that makes its variables when it is called."""

    def __init__(self):
        super().__init__()
        self.flatten, self.out = keras.layers.Flatten(), keras.layers.Dense(10)

    def call(self, inputs):
        return self.out(self.flatten(inputs))


def called(hp):
    model = Called()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(hp.float("rate", 1e-4, 1e-2, scale="log")), loss)
    return model


def test_a_model_of_a_class_of_its_own():
    result = tune(
        called, data=SMALL, minimize="val_loss", epochs=1, max_trials=1, storage="memory",
        name="called", progress=False,
    )  # fmt: skip
    assert result.best_value < 2.4


class Told(keras.callbacks.Callback):
    """Hears how long the training is."""

    def on_train_begin(self, logs=None):
        TOLD.append(self.params)


TOLD = []


def two_and_two(hp):
    image, other = keras.Input((28, 28), name="image"), keras.Input((2,), name="other")
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(image), other])
    hidden = keras.layers.Dense(hp.int("units", 4, 8), activation="relu")(hidden)
    outputs = {
        "kind": keras.layers.Dense(10, activation="softmax", name="kind")(hidden),
        "bright": keras.layers.Dense(1, name="bright")(hidden),
    }
    model = keras.Model({"image": image, "other": other}, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "bright": "mse"})
    return model


def test_several_inputs_and_outputs():
    parts = [
        ({"image": x, "other": x[:, :2, 14]}, {"kind": y, "bright": x.mean(axis=(1, 2))})
        for x, y in SMALL
    ]
    TOLD.clear()
    result = tune(
        two_and_two, data=tuple(parts), minimize="val_loss", epochs=2, max_trials=1,
        storage="memory", name="two", callbacks=Told(), progress=False,
    )  # fmt: skip
    curve = [report["loss"] for report in result.best.metrics]
    assert curve[1] < curve[0]
    assert TOLD == [{"verbose": 0, "epochs": 2, "steps": 19}]
    whole = Training(two_and_two, tuple(parts), 32).on_all()
    assert len(whole.data[0][0]["image"]) == 1200
    with pytest.raises(StudyError, match="of one length, got"):
        tune(two_and_two, data=(parts[0], (parts[1][0], SMALL[0][1][:5])), minimize="val_loss")
    with pytest.raises(StudyError, match="class_weight is for one output"):
        Training(two_and_two, tuple(parts), 32, class_weight={0: 2.0})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data": SMALL[0]}, "got two arrays: split off"),
        ({"data": SMALL, "class_weight": "balanced"}, "class_weight must be {class: weight}"),
    ],
)
def test_data_that_cannot_be(settings, words):
    with pytest.raises(StudyError, match=words):
        tune(called, minimize="val_loss", epochs=1, max_trials=1, storage="memory", **settings)


@QUICKER_ELSEWHERE
def test_a_model_is_no_function_that_makes_one():
    with pytest.raises(StudyError, match="build must be a function"):
        tune(
            build_once(), data=SMALL, minimize="val_loss", epochs=1, max_trials=1, storage="memory"
        )


def build_once():
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.compile("sgd", "mse")
    return model
