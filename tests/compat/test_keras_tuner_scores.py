"""What ``fit`` and ``run_trial`` return is the score, and hooks of a subclass are called."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import luthier.compat.keras_tuner as kt
from luthier.errors import LuthierWarning

pytestmark = pytest.mark.frameworks
X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")


def build(hp):
    hp.Int("n", 1, 99)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def searched(fit, tmp_path, tuner=kt.RandomSearch, epochs=2, callbacks=(), **options):
    model = type("Own", (kt.HyperModel,), {"build": lambda self, hp: build(hp), "fit": fit})()
    options = options or {"max_trials": 2}
    found = tuner(model, objective="val_loss", directory=tmp_path, seed=1, **options)
    found.search(X, Y, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return found


def folds(returned):
    def fit(self, hp, model, x, y, **kwargs):
        losses = []
        for fold in (0, 1):
            kwargs["validation_data"] = (x[fold::2], y[fold::2] * (9 * fold + 1))
            history = model.fit(x[1 - fold :: 2], y[1 - fold :: 2], **kwargs)
            losses.append(min(history.history["val_loss"]))
        return returned(losses)

    return fit


@pytest.mark.parametrize(
    "returned", [np.mean, lambda losses: {"val_loss": float(np.mean(losses)), "folds": 2}]
)
def test_the_mean_over_folds_is_the_score_and_not_the_best_fold(tmp_path, returned):
    means = []

    def kept(losses):
        means.append(float(np.mean(losses)))
        return returned(losses)

    tuner = searched(folds(kept), tmp_path)
    trials = list(tuner.oracle.trials.values())
    assert [trial.score for trial in trials] == pytest.approx(means)
    assert list(tuner.study.best.losses) == pytest.approx(
        [min(means)]
    )  # by which the searcher goes
    assert [trial.metrics["val_loss"] for trial in trials] == [[trial.score] for trial in trials]
    assert tuner.get_best_models()[0].built


def test_a_list_of_histories_is_the_mean_of_their_best_epochs(tmp_path):
    scores = []

    def fit(self, hp, model, x, y, **kwargs):
        found = [model.fit(x, y * n, validation_data=(x, y * n), **kwargs) for n in (1, 9)]
        scores.append(np.mean([min(history.history["val_loss"]) for history in found]))
        return found

    [trial] = searched(fit, tmp_path, max_trials=1).oracle.trials.values()
    assert trial.score == pytest.approx(scores[0])


def test_a_returned_history_is_the_curve(tmp_path):
    def fit(self, hp, model, x, y, **kwargs):
        return model.fit(x, y, validation_data=(x, y), **kwargs)

    [trial] = searched(fit, tmp_path, max_trials=1, epochs=3).oracle.trials.values()
    curve = trial.metrics["val_loss"]
    assert len(curve) == 3
    assert (trial.score, trial.best_step) == (min(curve), curve.index(min(curve)))
    assert [o.step for o in trial.metrics.get_history("val_loss")] == [
        0,
        1,
        2,
    ]  # as KerasTuner counts


def test_a_returned_score_that_the_epochs_come_to_keeps_their_curve(tmp_path):
    def fit(self, hp, model, x, y, **kwargs):
        return min(model.fit(x, y, validation_data=(x, y), **kwargs).history["val_loss"])

    [trial] = searched(fit, tmp_path, max_trials=1, epochs=3).oracle.trials.values()
    assert len(trial.metrics["val_loss"]) == 3


def test_hyperbands_rungs_are_compared_by_what_fit_returns(tmp_path):
    begun = []

    def fit(self, hp, model, x, y, **kwargs):
        begun.append(kwargs.get("initial_epoch", 0))
        history = model.fit(x, y, validation_data=(x, y), **kwargs)
        return 100.0 - len(history.epoch) - kwargs.get("initial_epoch", 0)

    tuner = searched(fit, tmp_path, kt.Hyperband, max_epochs=3)
    steps = {trial.number: (trial.step, trial.losses[-1]) for trial in tuner.study.trials}
    assert {step for step, _ in steps.values()} == {1, 3}
    assert all(loss == 100 - step for step, loss in steps.values())
    assert 1 in begun  # a promoted one went on from its checkpoint


def test_own_epochs_and_none_at_all(tmp_path):
    def own(self, hp, model, x, y, callbacks, verbose):
        epochs = hp.Int("epochs", 1, 3)
        return model.fit(
            x, y, validation_data=(x, y), callbacks=callbacks, verbose=verbose, epochs=epochs
        )

    model = type("Own", (kt.HyperModel,), {"build": lambda self, hp: build(hp), "fit": own})()
    tuner = kt.RandomSearch(model, objective="val_loss", max_trials=2, directory=tmp_path, seed=1)
    tuner.search(X, Y, verbose=0)
    for trial in tuner.oracle.trials.values():
        assert len(trial.metrics["val_loss"]) == trial.hyperparameters["epochs"]


class Loop(kt.RandomSearch):
    """A loop that reports by the hook, and returns another number."""

    def run_trial(self, trial, *args, **kwargs):
        n = trial.hyperparameters.Int("n", 1, 99)
        for epoch in range(2):
            self.on_epoch_end(trial, None, epoch, logs={"val_loss": float(n + epoch)})
        return 100.0 - n


def test_what_run_trial_returns_is_the_score_whatever_its_epochs_reported(tmp_path):
    tuner = Loop(objective="val_loss", max_trials=4, directory=tmp_path, seed=1)
    with pytest.warns(LuthierWarning, match=r"returned val_loss=\d+, and its epochs reported"):
        tuner.search()
    trials = list(tuner.oracle.trials.values())
    assert all(trial.score == 100.0 - trial.hyperparameters["n"] for trial in trials)
    best = [trial.score for trial in tuner.oracle.get_best_trials(4)]
    assert best == sorted(best)
    assert tuner.get_best_hyperparameters()[0]["n"] == max(t.hyperparameters["n"] for t in trials)


class Late(kt.Hyperband):
    """Returns another number than its epochs' best after the first rung, and not after the next."""

    def run_trial(self, trial, *args, **kwargs):
        history = super().run_trial(trial, *args, **kwargs)
        return min(history.history["val_loss"]) + 10 * (history.epoch == [0])


def test_a_promoted_trial_has_the_score_of_its_last_rung(tmp_path):
    tuner = Late(build, objective="val_loss", max_epochs=3, directory=tmp_path, seed=1)
    with pytest.warns(LuthierWarning, match="the searcher goes by the epochs"):
        tuner.search(X, Y, validation_data=(X, Y), verbose=0)
    rungs = set()
    for trial in tuner.oracle.trials.values():
        curve = trial.metrics["val_loss"]
        rungs.add(len(curve))
        assert trial.score == pytest.approx(min(curve) + 10 * (len(curve) == 1))
    assert rungs == {1, 3}


class Hooked(kt.RandomSearch):
    """Writes down when it is called."""

    def on_search_begin(self):
        self.said = ["search"]

    def on_trial_begin(self, trial):
        self.said.append(f"trial {trial.trial_id} {trial.score}")

    def on_batch_end(self, trial, model, batch, logs=None):
        self.said.append("batch")

    def on_epoch_end(self, trial, model, epoch, logs=None):
        super().on_epoch_end(trial, model, epoch, logs)
        self.said.append(f"epoch {epoch} {'loss' in logs} {len(model.layers)}")

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        self.said.append(f"end {trial.status} {trial.score == min(trial.metrics['loss'])}")

    def on_search_end(self):
        self.said.append("over")


@pytest.mark.parametrize("executions", [1, 2])
def test_hooks_of_a_subclass_are_called(tmp_path, executions):
    tuner = Hooked(
        build, "loss", max_trials=1, executions_per_trial=executions, directory=tmp_path, seed=1
    )
    tuner.search(X, Y, epochs=2, batch_size=8, verbose=0)
    epochs = ["batch", "epoch 0 True 1", "batch", "epoch 1 True 1"] * executions
    assert tuner.said == ["search", "trial 0000 None", *epochs, "end COMPLETED True", "over"]
    assert len(tuner.oracle.get_trial("0000").metrics["loss"]) == 2  # each epoch once


def test_a_trial_that_fails_has_an_end_too(tmp_path):
    ended = []

    class Failing(kt.RandomSearch):
        def on_trial_end(self, trial):
            ended.append((trial.status, trial.score, "Oversized" in trial.message))

    tuner = Failing(build, "loss", max_trials=1, max_model_size=1, directory=tmp_path)
    tuner.search(X, Y, verbose=0)
    assert ended == [("FAILED", None, True)]


def test_models_come_from_an_own_load_model(tmp_path):
    class Own(kt.RandomSearch):
        def run_trial(self, trial, *args, **kwargs):
            n = trial.hyperparameters.Int("n", 1, 99)
            with open(f"{self.get_trial_dir(trial.trial_id)}/model.txt", "w") as out:
                out.write(str(n))
            return float(n)

        def load_model(self, trial):
            with open(f"{self.get_trial_dir(trial.trial_id)}/model.txt") as text:
                return int(text.read())

    tuner = Own(objective="val_loss", max_trials=3, directory=tmp_path, seed=1)
    tuner.search()
    assert tuner.get_best_models(3) == [t.score for t in tuner.oracle.get_best_trials(3)]
