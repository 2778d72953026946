"""What a user of another backend sees."""

from __future__ import annotations

import keras
import pytest

import luthier
from luthier.errors import StudyError

DATA = luthier.datasets.fashion_mnist("subset")
SMALL = tuple((x[:100], y[:100]) for x, y in (DATA.train, DATA.validation))


def build(hp):
    model = keras.Sequential(
        [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )
    rate = hp.float("learning_rate", 1e-4, 1e-2, scale="log")
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    return model


def test_the_hint_comes_once_and_training_goes_on(tmp_path, capsys):
    result = luthier.keras.tune(
        build, SMALL, epochs=1, max_trials=2, name="s", storage=tmp_path / "l.db", progress=False
    )
    assert len(result.trials) == 2
    assert capsys.readouterr().err.count("KERAS_BACKEND=jax") == 1


def test_who_insists_is_told_why_not(tmp_path):
    with pytest.raises(StudyError, match="Keras runs on torch"):
        luthier.keras.tune(
            build, SMALL, epochs=1, max_trials=1, fused=True, name="s", storage=tmp_path / "l.db"
        )
