"""What KerasTuner's own tests ask of a tuner."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import luthier.compat.keras_tuner as kt

pytestmark = pytest.mark.frameworks


def build(hp):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(hp.Int("units", 1, 3))])
    model.compile("sgd", "mse")
    return model


def tuner_of(run_trial, **kwargs):
    return type("Own", (kt.RandomSearch,), {"run_trial": run_trial})(**kwargs)


@pytest.mark.parametrize("returned", ["float", "dict", "list", "history"])
def test_what_run_trial_may_return(tmp_path, returned):
    def run_trial(self, trial, *args, **kwargs):
        x = float(trial.hyperparameters.Choice("x", [1, 2, 3]))
        history = keras.callbacks.History()
        history.history = {"val_loss": [x + 1, x, x + 2], "loss": [5.0, 6.0, 7.0]}
        return {"float": x, "dict": {"val_loss": x}, "list": [x - 1, x + 1], "history": history}[
            returned
        ]

    tuner = tuner_of(run_trial, objective="val_loss", max_trials=9, directory=tmp_path)
    tuner.search(verbose=0)
    best = tuner.oracle.get_best_trials()[0]
    assert (best.score, tuner.get_best_hyperparameters()[0]["x"]) == (1.0, 1)
    assert best.metrics.get_best_value("val_loss") == 1.0
    assert best.metrics.get_history("val_loss")[0].value == [1.0]
    assert best.metrics.get_direction("val_loss") == "min"
    assert best.metrics.get("loss") == ([6.0] if returned == "history" else None)


@pytest.mark.parametrize(
    ("returned", "objective", "words"),
    [
        (None, "val_loss", "Did you forget"),
        ("low", "val_loss", "run_trial.. returned 'low': expected a number"),
        ({"val_loss": 1.0}, None, "a single number"),
        ([], "val_loss", "returned"),
    ],
)
def test_what_run_trial_may_not_return(tmp_path, returned, objective, words):
    tuner = tuner_of(lambda *_, **__: returned, objective=objective, directory=tmp_path)
    with pytest.raises(TypeError, match=words):
        tuner.search()


def test_a_metric_that_is_not_the_objective_is_named(tmp_path):
    tuner = tuner_of(lambda *_, **__: {"val_los": 1.0}, objective="val_loss", directory=tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'val_los'"):
        tuner.search()


def test_an_objective_by_a_shorter_name_is_told_the_longer_one(tmp_path):
    found = {"auc": 1.0, "accuracy": 1.0, "val_auc": 1.0, "val_accuracy": 1.0}
    tuner = tuner_of(lambda *_, **__: found, objective="val_acc", directory=tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'val_accuracy'"):
        tuner.search()


@pytest.mark.parametrize("executions", [1, 2])
def test_a_score_that_fit_returns_counts(tmp_path, executions):
    class Scored(kt.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *args, **kwargs):
            model.fit(*args, **kwargs)  # its logs have no objective
            return hp.get("units") / 2

    tuner = kt.RandomSearch(
        Scored(), max_trials=3, executions_per_trial=executions, directory=tmp_path, seed=1
    )
    tuner.search(np.ones((4, 2)), np.ones((4, 1)), epochs=1, verbose=0)
    scores = [(t.score, t.hyperparameters["units"] / 2) for t in tuner.oracle.trials.values()]
    assert len(scores) == 3
    assert all(score == expected for score, expected in scores)


def test_what_cannot_be_a_tuner(tmp_path):
    with pytest.raises(ValueError, match="hypermodel=None"):
        kt.RandomSearch(objective="val_loss", directory=tmp_path)
    with pytest.raises(ValueError, match="oracle='random'"):
        kt.Tuner("random", build, directory=tmp_path)
    with pytest.raises(ValueError, match="hypermodel='build'"):
        kt.RandomSearch("build", objective="val_loss", directory=tmp_path)
    with pytest.raises(ValueError, match="factor=1"):
        kt.Hyperband(build, objective="val_loss", factor=1, directory=tmp_path)
    listed = kt.HyperParameters()
    listed.Int("layers", 1, 2)
    with pytest.raises(RuntimeError, match="allow_new_entries=False"):
        kt.RandomSearch(
            build, "val_loss", hyperparameters=listed, allow_new_entries=False, directory=tmp_path
        )
    nothing = kt.RandomSearch(lambda hp: None, "val_loss", directory=tmp_path)
    with pytest.raises(TypeError, match=r"build.hp. must return"):
        nothing.search()


def test_a_search_ends_after_failures_in_a_row(tmp_path):
    tuner = kt.RandomSearch(build, "loss", max_model_size=2, directory=tmp_path)
    with pytest.raises(RuntimeError, match=r"3 trials in a row failed.*Oversized model: . weights"):
        tuner.search(np.ones((4, 2)), np.ones((4, 1)))


def test_what_a_tuner_says_of_itself(tmp_path):
    tuner = kt.RandomSearch(
        build, ["val_loss", "val_accuracy"], optimizer="adam", loss="mae", directory=tmp_path
    )
    assert tuner.oracle.objective.name == "multi_objective"
    assert (tuner.optimizer, tuner.loss, tuner.metrics) == ("adam", "mae", None)
    assert tuner.directory == tmp_path
    assert tuner.oracle.hyperparameters.values == {"units": 1}
    with pytest.raises(RuntimeError, match="overwrite=True"):
        kt.BayesianOptimization(build, ["val_loss", "val_accuracy"], directory=tmp_path)
