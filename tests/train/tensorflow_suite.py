"""What holds for Keras's ordinary epochs on TensorFlow; ``test_keras_tensorflow.py`` runs it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from pausing import curves, run

import luthier
from luthier.space import discover
from luthier.train.data import order_of
from luthier.train.keras import Training
from luthier.train.tensorflow_epochs import Pipeline, pipelined, several_at_once

DATA = luthier.datasets.fashion_mnist("subset")
TRAIN, VALIDATION = ((x[:300], y[:300]) for x, y in (DATA.train, DATA.validation))
BATCH = 64  # five batches, the last one smaller


def net(*layers, loss="sparse_categorical_crossentropy", last="softmax", metrics=("accuracy",)):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), *layers, keras.layers.Dense(10, last)]
    )
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=list(metrics))
    return model


def listening(model, *callbacks):
    return keras.callbacks.CallbackList(list(callbacks), add_history=True, model=model)


def pipeline(model, train=TRAIN, callbacks=()):
    return Pipeline(model, train, VALIDATION, BATCH, 256, callbacks)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [("float32", (np.linspace(0.0, 2.0, 300),)), ("float64", ()), ("uint8", ())],
    ids=["weighted", "float64", "uint8"],
)
def test_the_same_weights_as_by_fit_with_arrays_batch_by_batch(kind, weights):
    train = ((TRAIN[0] * (255 if kind == "uint8" else 1)).astype(kind), TRAIN[1], *weights)
    ours, plain = net(keras.layers.Dense(16, "relu")), net(keras.layers.Dense(16, "relu"))
    plain.set_weights(ours.get_weights())
    listeners = listening(ours)
    with several_at_once(ours, ()):
        epochs = pipeline(ours, train)
        for epoch in range(2):
            epochs(epoch, 7 + epoch, listeners)
    for epoch in range(2):
        order = order_of(300, 7 + epoch)
        rows = [part[order] for part in train]
        found = plain.fit(
            *rows[:2],
            sample_weight=rows[2] if weights else None,
            batch_size=BATCH,
            shuffle=False,
            validation_data=VALIDATION,
            validation_batch_size=256,
            verbose=0,
        )
    for own, other in zip(ours.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(own, other)
    assert {name: values[-1:] for name, values in ours.history.history.items()} == found.history


class Counts(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)


def test_a_callback_that_looks_at_batches_sees_each():
    model = net()
    counts = Counts()
    listeners = listening(model, counts)
    with several_at_once(model, [counts]):
        pipeline(model, callbacks=[counts])(0, 3, listeners)
    assert counts.batches == [0, 1, 2, 3, 4]


def test_afterwards_the_model_goes_batch_by_batch_again():
    model, counts = net(), Counts()
    with several_at_once(model, ()):
        assert model.steps_per_execution > 1
        pipeline(model)(0, 3, listening(model))
    assert model.steps_per_execution == 1
    model.fit(*TRAIN, batch_size=BATCH, callbacks=[counts], verbose=0)
    assert counts.batches == [0, 1, 2, 3, 4]


def test_predictions_between_epochs_are_whole():
    model, counts = net(), []
    assert len(model.predict(TRAIN[0], verbose=0)) == 300  # its function is made for one step

    class Predicts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            counts.append(len(self.model.predict(TRAIN[0], verbose=0)))

    predicts = Predicts()
    with several_at_once(model, [predicts]):
        pipeline(model)(0, 3, listening(model, predicts))
    assert [*counts, len(model.predict(TRAIN[0], verbose=0))] == [300, 300]


class Fixed(keras.layers.Layer):
    def call(self, x):
        return x + tf.zeros((x.shape[0], 784))


def test_batches_that_are_all_alike_have_a_size():
    keras.utils.set_random_seed(1)
    dense = keras.layers.Dense(10, "softmax")
    shaped = keras.Input(batch_shape=(100, 28, 28))
    model = keras.Sequential([shaped, keras.layers.Flatten(), Fixed(), dense])
    model.compile("sgd", "sparse_categorical_crossentropy")
    Pipeline(model, TRAIN, VALIDATION, 100, 100, ())(0, 3, listening(model))
    assert model.history.history["loss"][0] > 0


class OwnFit(keras.Sequential):
    def fit(self, x, y, **more):
        return super().fit(x, y, **more)


class OwnEvaluate(keras.Sequential):
    def evaluate(self, x, y, **more):
        return super().evaluate(x, y, **more)


@pytest.mark.parametrize("kind", [OwnFit, OwnEvaluate])
def test_a_fit_of_ones_own_gets_arrays(kind):
    assert pipelined(net(), TRAIN, VALIDATION)
    assert not pipelined(kind([keras.layers.Dense(1)]), TRAIN, VALIDATION)


def test_a_model_of_a_strategy_goes_the_ordinary_way():
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = net()
    assert not pipelined(model, TRAIN, VALIDATION)


@pytest.fixture
def two_steps_an_epoch():
    keras.config.set_max_steps_per_epoch(2)
    yield
    keras.config.set_max_steps_per_epoch(None)


def test_a_limit_of_steps_is_kept(two_steps_an_epoch):
    model = net()
    with several_at_once(model, ()):
        pipeline(model)(0, 3, listening(model))
    assert int(model.optimizer.iterations) == 2


def test_what_the_user_says_of_steps_stands():
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=3)
    with several_at_once(model, ()):
        assert model.steps_per_execution == 3


class Jitter(keras.layers.Layer):
    """Noise from TensorFlow's own generator, which no checkpoint holds."""

    def call(self, x):
        return x + 0.1 * tf.random.normal(tf.shape(x))


def build_eager(hp):
    model = net(Jitter(), keras.layers.Dense(16, "relu"))
    optimizer = keras.optimizers.Adam(hp.float("rate", 1e-3, 1e-2, scale="log"))
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=True)
    return model


def test_noise_in_a_model_that_runs_eagerly_is_the_same_after_a_pause(tmp_path):
    training, space = Training(build_eager, (TRAIN, VALIDATION), BATCH), discover(build_eager)
    whole = run(training, tmp_path / "whole", stops=(4,), space=space)
    paused = run(training, tmp_path / "paused", stops=(1, 2, 4), space=space)
    assert curves(paused) == curves(whole)
    assert len({metrics["loss"] for _, metrics in curves(whole)[0]}) == 4


class Draws(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.drawn = []

    def on_epoch_end(self, epoch, logs=None):
        self.drawn.append(float(tf.random.uniform(())))


def drawing():
    drawn = []

    def draw(epoch, logs=None):
        drawn.append(float(tf.random.uniform(())))

    return keras.callbacks.LambdaCallback(on_epoch_end=draw), drawn


@pytest.mark.parametrize("own", [True, False], ids=["own", "lambda"])
def test_what_a_callback_draws_hangs_on_the_epochs_seed(own):
    model = net()
    callback, drawn = (draws := Draws(), draws.drawn) if own else drawing()
    epochs = pipeline(model, callbacks=[callback])
    for seed in (5, 6, 5):
        epochs(0, seed, listening(model, callback))
    first, second, again = drawn
    assert first == again != second


def test_without_such_a_callback_tensorflows_generator_is_left_alone():
    model = net(keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.1))
    tf.random.set_seed(1)
    expected = [float(tf.random.uniform(())) for _ in range(2)]
    tf.random.set_seed(1)
    epochs, found = pipeline(model, callbacks=[keras.callbacks.EarlyStopping()]), []
    for epoch in range(2):
        epochs(epoch, 5, listening(model))
        found.append(float(tf.random.uniform(())))
    assert found == expected


@pytest.mark.parametrize(
    "part",
    [
        tf.data.Dataset.from_tensor_slices(TRAIN).batch(BATCH),
        (tf.constant(TRAIN[0]), TRAIN[1]),
        (TRAIN[0].astype(object), TRAIN[1]),
        None,
    ],
    ids=["dataset", "tensor", "objects", "none"],
)
def test_other_data_go_the_ordinary_way(part):
    assert not pipelined(net(), part, VALIDATION)
    assert not pipelined(net(), TRAIN, part)
