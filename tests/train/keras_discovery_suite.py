"""How the space of a Keras model is found, which no backend has a part in."""

from __future__ import annotations

import weakref

import keras
import numpy as np

import luthier
from luthier.keras import tune
from luthier.train import keras_discovery

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
DATA = ((X[:30], X[:30, :1]), (X[30:], X[30:, :1]))
ONCE = {"minimize": "val_loss", "epochs": 1, "max_trials": 1, "storage": "memory"}
BUILT = []  # weak references


def build(hp):
    model = keras.Sequential([keras.Input((4,))])
    for layer in range(hp.int("layers", 1, 3)):
        model.add(keras.layers.Dense(4, hp.choice(f"activation_{layer}", ["relu", "tanh"])))
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    BUILT.append(weakref.ref(model))
    return model


def test_models_go_as_others_are_built(capsys, monkeypatch):
    alive = []

    def watched(hp):
        alive.append(sum(model() is not None for model in BUILT))
        return build(hp)

    BUILT.clear()
    monkeypatch.setattr(keras_discovery, "_SILENT_SECONDS", 0.0)
    tune(watched, DATA, name="s", progress=False, **ONCE)
    assert len(alive) > 6
    assert max(alive) <= 1
    assert capsys.readouterr().err.count("looking for hyperparameters: 1 builds in") == 1


def test_the_horizon_is_known_where_no_trial_trains():
    seen = []

    def watched(hp):
        seen.append((hp.to_step, hp.horizon))
        hp.float("rate", 0.1, 1.0)
        return build(hp)

    options = {**ONCE, "epochs": 2, "scheduler": None}
    result = tune(watched, DATA, name="s", progress=False, **options)
    assert isinstance(result.model(), keras.Model)
    assert set(seen) == {(2, 2)}


def test_a_space_that_is_given_is_searched_and_nothing_is_built_before():
    BUILT.clear()
    space = {
        "layers": luthier.Int(1, 2),
        "activation_0": luthier.Choice(["relu", "tanh"]),
        "activation_1": luthier.Choice(["relu", "tanh"]),
    }
    result = tune(build, DATA, space=space, name="s", progress=False, **ONCE)
    assert set(result.configuration) == set(space)
    assert len(BUILT) == 1
