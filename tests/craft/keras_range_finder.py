"""What holds for the range finder in Keras on every backend; run by test_range_finder.py."""

import random

import keras
import numpy as np
import pytest

import luthier
from luthier.craft.schedules import Cosine, as_keras
from luthier.errors import StudyError

X, Y = luthier.datasets.fashion_mnist("subset").train
X, Y = np.asarray(X[:600], "float32").reshape(600, -1), Y[:600]


def make(rate):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(32),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    variables += [v for metric in model.metrics for v in metric.variables]
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def same(first, second):
    return len(first) == len(second) and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )


def train(model):
    keras.utils.set_random_seed(1)  # on torch, dropout draws from the global generator
    return [model.train_on_batch(X[i : i + 64], Y[i : i + 64]) for i in range(0, 256, 64)]


for rate in (2e-3, as_keras(Cosine(2e-3, 100))):
    model = make(rate)
    train(model)
    before, generators = state(model), (random.getstate(), np.random.get_state()[1].tolist())
    found = luthier.keras.find_learning_rate(model, (X, Y), batch_size=64, sweeps=2, steps=60)
    assert same(state(model), before)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == generators
    assert found.problem is None, found.explain()
    assert 1e-4 < found.suggestion < 0.1, found.explain()
    assert found.divergence is None or found.divergence > 2 * found.suggestion
    twin = make(rate)
    train(twin)
    assert same(state(twin), before)
    assert train(twin) == train(model), "training goes on as it would have without the test"
    assert same(state(twin), state(model))

# Batches of one's own, and an unbuilt model.
fresh = keras.Sequential([keras.layers.Dense(10)])
fresh.compile(
    keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
chunks = [(X[i : i + 60], Y[i : i + 60]) for i in range(0, 600, 60)]
own = luthier.keras.find_learning_rate(fresh, chunks, sweeps=1, steps=60)
assert 1e-3 < own.suggestion < 1, own.explain()
assert np.isclose(float(keras.ops.convert_to_numpy(fresh.optimizer.learning_rate)), 0.1)

with pytest.raises(StudyError, match="not compiled"):
    luthier.keras.find_learning_rate(keras.Sequential([keras.layers.Dense(1)]), (X, Y))
print(keras.backend.backend())
