"""Several executions of a trial: the mean of each one's best epoch, and the model of the best of all."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import luthier.compat.keras_tuner as kt
from luthier.study.trial import Trial

pytestmark = pytest.mark.frameworks
X, Y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")


def build(hp):
    hp.Int("nothing", 1, 99)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Scripted(keras.callbacks.Callback):
    """Logs the losses that *losses* has for each execution, and marks the model with what it is of."""

    losses: tuple[list[float], ...] = ()
    begun = 0
    trained: list[tuple[int, int]] = []

    def on_train_begin(self, logs=None):
        self.execution = Scripted.begun % len(self.losses)
        Scripted.begun += 1

    def on_epoch_end(self, epoch, logs=None):
        Scripted.trained.append((self.execution, epoch))
        self.model.layers[-1].bias.assign([10.0 * self.execution + epoch])
        mine = self.losses[self.execution]
        if logs is not None and mine[epoch] is not None:
            logs["val_loss"] = mine[epoch]
        if epoch + 1 == len(mine):
            self.model.stop_training = True


def scripted(*losses):
    Scripted.losses, Scripted.begun, Scripted.trained = losses, 0, []
    return Scripted()


def searched(callback, tmp_path, tuner=kt.RandomSearch, epochs=5, build=build, **options):
    if tuner is kt.RandomSearch:
        options = {"max_trials": 1} | options
    found = tuner(
        build, objective="val_loss", executions_per_trial=2, directory=tmp_path, **options
    )
    found.search(X, Y, epochs=epochs, verbose=0, callbacks=[callback])
    return found


def marks(tuner, count=1):
    return [float(np.asarray(m.layers[-1].bias)[0]) for m in tuner.get_best_models(count)]


@pytest.mark.parametrize(
    ("losses", "score", "best_step", "curve", "mark"),
    [
        # The best epoch is the first one: its model is there.
        (([2, 3, 4], [1, 5, 6]), 1.5, 0, [1.5, 1.5, 1.5], 10),
        # The best epochs are not the same ones, and the mean by epoch is never as good.
        (([9, 2, 9, 9], [9, 9, 4, 9]), 3, 2, [9, 5.5, 3, 3], 1),
        # The second one ends early, and counts to the end by what it had.
        (([7, 6, 5, 4, 3], [8]), 5.5, 4, [7.5, 7, 6.5, 6, 5.5], 4),
        (([8], [7, 6, 5, 4, 3]), 5.5, 4, [7.5, 7, 6.5, 6, 5.5], 14),
    ],
)
def test_as_keras_tuner_has_it(losses, score, best_step, curve, mark, tmp_path):
    epochs = max(map(len, losses))
    tuner = searched(scripted(*losses), tmp_path, epochs=epochs)
    [trial] = tuner.oracle.get_best_trials(1)
    assert (trial.score, trial.best_step, trial.status) == (score, best_step, "COMPLETED")
    assert trial.metrics["val_loss"] == curve
    assert marks(tuner) == [mark]


def test_the_best_two_have_their_models(tmp_path):
    tuner = searched(scripted([2, 3, 4], [1, 5, 6]), tmp_path, epochs=3, max_trials=2)
    assert marks(tuner, 2) == [10, 10]


def test_promoted_trials_go_on_and_keep_what_was_best_before(tmp_path):
    callback = scripted([1, 5, 5], [9, 9, 3])
    tuner = searched(callback, tmp_path, tuner=kt.Hyperband, max_epochs=3)
    trials = tuner.oracle.trials.values()
    curves = [trial.metrics["val_loss"] for trial in trials]
    whole = [curve for curve in curves if len(curve) == 3]
    assert whole == [[5, 5, 2]] * len(whole)
    assert [5] in curves
    assert marks(tuner) == [0]  # of the first rung; its checkpoint is gone
    for execution in (0, 1):  # whoever was paused went on
        assert Scripted.trained.count((execution, 0)) == len(curves)
        assert Scripted.trained.count((execution, 2)) == len(whole)


def test_whoever_was_ended_while_it_reported_trains_nothing_again(tmp_path, monkeypatch):
    report = Trial.report

    def ended(self, *args, **kwargs):
        if self.step == 3:
            raise KeyboardInterrupt
        return report(self, *args, **kwargs)

    callback = scripted([5, 4, 3, 2, 2], [6, 5, 4, 3, 2])
    with monkeypatch.context() as patch:
        patch.setattr(Trial, "report", ended)
        with pytest.raises(KeyboardInterrupt):
            searched(callback, tmp_path)
    assert len(Scripted.trained) == 10
    tuner = searched(callback, tmp_path)
    [trial] = tuner.oracle.get_best_trials(1)
    assert trial.metrics["val_loss"] == [5.5, 4.5, 3.5, 2.5, 2]
    assert marks(tuner) == [3]
    assert len(Scripted.trained) == 10


@pytest.mark.parametrize("tuner", [kt.RandomSearch, kt.Hyperband])
def test_the_model_is_kept_where_fit_returns_the_score(tuner, tmp_path):
    class Scored(kt.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *args, **kwargs):
            model.fit(*args, **kwargs)  # its logs have no objective
            return 0.5

    options = {"max_epochs": 3} if tuner is kt.Hyperband else {}
    callback = scripted([None] * 3, [None] * 3)
    found = searched(callback, tmp_path, tuner, epochs=1, build=Scored(), **options)
    assert found.oracle.get_best_trials(1)[0].score == 0.5
    assert marks(found) == [10]  # the last one, as nothing tells which is best
