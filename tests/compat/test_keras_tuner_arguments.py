"""Arguments of tuners and oracles, in KerasTuner's order; and which project goes on with which tuner."""

from __future__ import annotations

import inspect

import keras
import pytest

import luthier.compat.keras_tuner as kt
from luthier.errors import LuthierWarning

pytestmark = pytest.mark.frameworks


def build(hp):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 3))])
    model.compile("sgd", "mse")
    return model


# As inspect.signature says of KerasTuner 1.4.8.
COMMON = ["max_retries_per_trial", "max_consecutive_failed_trials"]
LISTED = ["seed", "hyperparameters"]
OWN = {
    "RandomSearch": ["max_trials"],
    "GridSearch": ["max_trials"],
    "BayesianOptimization": ["max_trials", "num_initial_points", "alpha", "beta"],
    "Hyperband": ["max_epochs", "factor", "hyperband_iterations"],
}


@pytest.mark.parametrize("name", OWN)
def test_positional_arguments_are_keras_tuners(name):
    entries = ["tune_new_entries", "allow_new_entries"]
    tuner = list(inspect.signature(getattr(kt, name)).parameters)
    assert tuner == ["hypermodel", "objective", *OWN[name], *LISTED, *entries, *COMMON, "kwargs"]
    oracle = list(inspect.signature(getattr(kt.oracles, name)).parameters)
    assert oracle == ["objective", *OWN[name], *LISTED, *entries[::-1], *COMMON]


def test_they_go_where_they_belong(tmp_path):
    oracle = kt.Hyperband(build, "val_loss", 30, 4, 2, 7, directory=tmp_path).oracle
    assert (oracle.max_epochs, oracle.factor, oracle.hyperband_iterations, oracle.seed) == (
        30,
        4,
        2,
        7,
    )
    assert kt.oracles.RandomSearch("val_loss", 5, 7).seed == 7


@pytest.mark.parametrize(
    ("tuner", "arguments", "words"),
    [
        (
            kt.RandomSearch,
            {"max_trails": 50},
            r"RandomSearch has no argument 'max_trails'.*'max_trials'",
        ),
        (kt.Hyperband, {"max_trials": 3}, "Hyperband has no argument 'max_trials'"),
        (kt.RandomSearch, {"overwrit": True}, "Did you mean 'overwrite'"),
    ],
)
def test_what_is_no_argument_is_refused(tmp_path, tuner, arguments, words):
    with pytest.raises(ValueError, match=words):
        tuner(build, "val_loss", directory=tmp_path, **arguments)
    with pytest.raises(TypeError, match="max_trails"):
        kt.oracles.RandomSearch("val_loss", max_trails=5)


def test_what_has_no_effect_is_told(tmp_path):
    with pytest.warns(LuthierWarning, match="distribution_strategy= has no effect"):
        kt.RandomSearch(build, "val_loss", directory=tmp_path, distribution_strategy=object())


@pytest.mark.parametrize("method", ["populate_space", "score_trial", "end_trial"])
def test_an_oracle_that_decides_itself_is_refused(method):
    own = type("Own", (kt.Oracle,), {method: lambda self, *_: None})
    with pytest.raises(ValueError, match=rf"Own decides by its own {method}\(\)"):
        own(objective="val_loss")


ONES = {"objective": "val_loss"}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((kt.RandomSearch, ONES), (kt.Hyperband, ONES), "its scheduler is none, not the hyperband"),
        (
            (kt.Hyperband, ONES),
            (kt.RandomSearch, ONES),
            "its scheduler is hyperband.*, not the none",
        ),
        ((kt.Hyperband, ONES), (kt.Hyperband, ONES | {"max_epochs": 9}), "epochs=100.*epochs=9"),
        ((kt.RandomSearch, ONES), (kt.GridSearch, ONES), "its searcher is random, not the grid"),
        (
            (kt.RandomSearch, ONES),
            (kt.RandomSearch, {"objective": "val_accuracy"}),
            "its objective is minimize val_loss, not the maximize val_accuracy",
        ),
    ],
)
def test_a_project_of_another_search_is_refused(tmp_path, first, second, words):
    for tuner, arguments in (first, first):  # the same goes on
        tuner(build, directory=tmp_path, **arguments)
    tuner, arguments = second
    with pytest.raises(RuntimeError, match=rf"{words}.*overwrite=True"):
        tuner(build, directory=tmp_path, **arguments)
    tuner(build, directory=tmp_path, overwrite=True, **arguments)


def test_the_precision_that_the_user_has_set_stays(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        kt.RandomSearch(build, "val_loss", directory=tmp_path)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(before)
