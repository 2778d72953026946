"""What of a Keras training is kept between epochs, trials and studies; on every backend."""

from __future__ import annotations

import gc
import json

import keras
import numpy as np
import pytest
from pausing import curves, run

import luthier
import luthier.train.keras
from luthier.errors import CheckpointError, StudyError
from luthier.keras import State, fit, tune
from luthier.space import discover
from luthier.study.records import TrialState
from luthier.train.keras import Training

CHANCE = np.random.default_rng(0)
X = CHANCE.normal(size=(96, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
DATA = ((X[:64], Y[:64]), (X[64:], Y[64:]))
LOSS = "sparse_categorical_crossentropy"
ONCE = {"epochs": 1, "max_trials": 1, "batch_size": 32, "storage": "memory", "progress": False}


def net(optimizer, metrics=("accuracy",)):
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
    )
    model.compile(optimizer, LOSS, metrics=list(metrics))
    return model


def build(hp):
    return net(keras.optimizers.SGD(hp.float("rate", 0.01, 0.1, scale="log"), momentum=0.9))


def weights_of(variables):
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def same(ones, others):
    return len(ones) == len(others) and all(map(np.array_equal, ones, others))


# -- what the user has set for all models ------------------------------------------------------------


@pytest.fixture
def low_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.disable_flash_attention()
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.enable_flash_attention()


def test_precision_and_flash_attention_stay_as_they_were_set(low_precision):
    seen = []

    def looks(hp):
        model = build(hp)
        seen.append((keras.config.dtype_policy().name, model.layers[0].compute_dtype))
        seen.append(keras.config.is_flash_attention_enabled())
        return model

    result = tune(looks, DATA, **(ONCE | {"max_trials": 2}))
    result.model()
    assert set(seen) == {("mixed_bfloat16", "bfloat16"), False}
    assert len(seen) >= 8


def test_a_precision_that_a_trial_chooses_is_no_other_trials():
    seen = {}

    def chooses(hp):
        half = hp.bool("half")
        if half:
            keras.config.set_dtype_policy("mixed_bfloat16")
        model = build(hp)
        seen.setdefault(half, set()).add(model.layers[0].compute_dtype)
        return model

    tune(chooses, DATA, **(ONCE | {"max_trials": 4}))
    assert seen == {True: {"bfloat16"}, False: {"float32"}}


def test_nothing_stays_frozen_in_the_users_process():
    assert gc.get_freeze_count() == 0
    result = tune(build, DATA, **ONCE)
    assert gc.get_freeze_count() == 0
    result.fit()
    assert gc.get_freeze_count() == 0


# -- moving averages ---------------------------------------------------------------------------------


def averaging(hp):
    rate = hp.float("rate", 0.05, 0.1)
    return net(keras.optimizers.SGD(rate, use_ema=True, ema_momentum=0.9))


NOTED = []  # weights and averages after each epoch; copies of a callback share it


class Notes(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        averages = weights_of(optimizer._model_variables_moving_average)
        NOTED.append((weights_of(self.model.trainable_variables), averages))


@pytest.mark.parametrize("fused", ["auto", False])
def test_the_model_that_comes_back_has_the_averages(fused):
    NOTED.clear()
    result = tune(
        averaging, DATA, callbacks=lambda: [Notes()], fused=fused, scheduler=None,
        **(ONCE | {"epochs": 3}),
    )  # fmt: skip
    raw, averages = NOTED[result.best.best_step - 1]
    assert same(result.model().get_weights(), averages)
    assert not same(raw, averages)


def test_a_training_function_of_ones_own_ends_with_the_averages():
    NOTED.clear()
    models = []

    def train(trial):
        model = net(keras.optimizers.SGD(trial["rate"], use_ema=True, ema_momentum=0.9))
        fit(trial, model, DATA, batch_size=32, callbacks=lambda: [Notes()])
        models.append(model.get_weights())

    luthier.tune(
        train, {"rate": luthier.Float(0.05, 0.1)}, maximize="val_accuracy", epochs=2,
        max_trials=1, storage="memory", progress=False,
    )  # fmt: skip
    assert same(models[0], NOTED[-1][1])


def test_a_paused_trial_goes_on_with_the_weights_themselves(tmp_path):
    training, space = Training(averaging, DATA, 32), discover(averaging)
    whole = run(training, tmp_path / "whole", stops=(4,), space=space)
    paused = run(training, tmp_path / "paused", stops=(1, 2, 4), space=space)
    assert curves(paused) == curves(whole)


def test_averages_that_a_callback_has_swapped_in_stay():
    NOTED.clear()
    swaps = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    result = tune(
        averaging, DATA, callbacks=lambda: [swaps, Notes()], scheduler=None,
        **(ONCE | {"epochs": 3}),
    )  # fmt: skip
    swapped_in, _ = NOTED[result.best.best_step - 1]
    assert same(result.model().get_weights(), swapped_in)


# -- optimizers --------------------------------------------------------------------------------------


def scaled(rate):
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate))


def multiple(rate):
    parts = keras.optimizers.OptimizerMap(default_optimizer=keras.optimizers.Adam(rate))
    return keras.optimizers.MultiOptimizer(parts)


WRAPS = [scaled] + ([multiple] if hasattr(keras.optimizers, "MultiOptimizer") else [])


def inner(optimizer):
    return getattr(optimizer, "inner_optimizer", None) or optimizer.optimizers[0]


@pytest.mark.parametrize("wrapped", WRAPS)
def test_an_heirs_rate_is_its_own_in_wrapped_optimizers_too(tmp_path, wrapped):
    parent, heir = net(wrapped(0.002)), net(wrapped(0.03))
    parent.fit(*DATA[0], verbose=0)
    State(parent).save(tmp_path)
    State(heir).inherit(tmp_path)
    assert float(inner(heir.optimizer).learning_rate) == pytest.approx(0.03)
    assert int(inner(heir.optimizer).iterations) == int(inner(parent.optimizer).iterations) > 0
    State(heir).restore(tmp_path)
    assert float(inner(heir.optimizer).learning_rate) == pytest.approx(0.002)


@pytest.mark.filterwarnings("ignore:No trial trains longer")
@pytest.mark.parametrize("wrapped", WRAPS)
def test_a_half_finished_schedule_is_seen_in_wrapped_optimizers_too(wrapped):
    def cosine(hp):
        hp.float("rate", 0.01, 0.1)
        decay = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=2 * hp.horizon)
        return net(wrapped(decay))

    options = ONCE | {"epochs": 3, "scheduler": "successive halving"}
    with pytest.warns(luthier.LuthierWarning, match="CosineDecay runs over 3 epochs"):
        tune(cosine, DATA, **options)


class TwoOptimizers(keras.Model):
    """A model whose own training step has an optimizer for each of its two layers."""

    def __init__(self, rate=0.01):
        super().__init__()
        self.first, self.second = keras.layers.Dense(4), keras.layers.Dense(2, "softmax")
        self.slow = keras.optimizers.Adam(rate)

    def call(self, x):
        return self.second(self.first(x))


def two_optimizers(rate=0.01):
    model = TwoOptimizers(rate)
    model.compile(keras.optimizers.SGD(0.1), LOSS)
    model(X[:1])
    return model


def stepped(model):
    variables = model.first.trainable_variables
    if not model.slow.built:
        model.slow.build(variables)
    model.slow.apply([keras.ops.ones(v.shape) for v in variables], variables)


def test_a_second_optimizer_is_part_of_the_checkpoint(tmp_path):
    one, other = two_optimizers(), two_optimizers(0.5)
    stepped(one)
    State(one).save(tmp_path)
    State(other).restore(tmp_path)
    assert int(other.slow.iterations) == 1
    stepped(one)
    stepped(other)
    assert same(weights_of(one.slow.variables), weights_of(other.slow.variables))
    assert same(one.get_weights(), other.get_weights())
    heir = two_optimizers(0.5)
    State(heir).inherit(tmp_path)
    assert float(heir.slow.learning_rate) == pytest.approx(0.5)
    with pytest.raises(CheckpointError, match="an optimizer 'slow'"):
        State(without_slow()).restore(tmp_path)


def without_slow():
    model = two_optimizers()
    del model.slow
    return model


# -- callbacks ---------------------------------------------------------------------------------------


class Counts(keras.callbacks.Callback):
    """Has a setting, a counter, and a switch that is as it was made when its checkpoint is written."""

    def __init__(self, setting):
        super().__init__()
        self.setting, self.seen, self.on = setting, 0, False

    def on_train_begin(self, logs=None):
        self.on = True

    def on_epoch_end(self, epoch, logs=None):
        self.seen += 1
        self.on = False


def test_what_a_callback_has_opened_stays_open(tmp_path):
    """Keras' own CSVLogger is made with no file, and opens it when training begins."""

    def logger():
        return keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True)

    model, before = net("sgd"), [logger()]
    state = State(model, before)
    model.fit(*DATA[0], epochs=1, callbacks=before, verbose=0)
    state.save(tmp_path)
    fresh, after = net("sgd"), [logger()]
    state = State(fresh, after)
    after[0].set_model(fresh)
    after[0].on_train_begin()
    state.restore(tmp_path)
    after[0].on_epoch_end(1, {"loss": 0.5})
    after[0].on_train_end()
    assert (tmp_path / "log.csv").read_text().splitlines()[-1].startswith("1,0.5")


class Before(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = 100


def test_callbacks_keep_their_state_and_take_new_settings(tmp_path):
    def stopping(patience):
        return keras.callbacks.EarlyStopping(
            "loss", patience=patience, min_delta=patience / 10, mode="min"
        )

    before = [Counts("old"), Counts("old, too"), stopping(3)]
    model = net("sgd")
    state = State(model, before)
    model.fit(*DATA[0], epochs=3, callbacks=before, verbose=0)
    before[1].seen = 7
    state.save(tmp_path)
    after = [Before(), stopping(10), Counts("new"), Counts("new, too")]
    fresh = net("sgd")
    state = State(fresh, after)
    for callback in after:
        callback.set_model(fresh)
        callback.on_train_begin()
    state.restore(tmp_path)
    assert [c.seen for c in (after[0], *after[2:])] == [100, 3, 7]
    assert [c.setting for c in after[2:]] == ["new", "new, too"]
    assert not after[2].on
    assert (after[1].patience, after[1].min_delta) == (10, -1.0)
    assert after[1].best == before[2].best
    noted = json.loads((tmp_path / "callbacks.json").read_text())
    assert noted["Counts 0"] == {"seen": 3}


def test_callbacks_that_a_function_makes_are_not_copied():
    class Holds(keras.callbacks.Callback):
        def __deepcopy__(self, memo):
            raise TypeError("it holds a lock")

    made = []

    def makes():
        made.append(Holds())
        return made[-1:]

    tune(build, DATA, callbacks=makes, **(ONCE | {"max_trials": 2}))
    assert len(made) == 2
    assert all(callback.model is not None for callback in made)


def test_a_backup_of_kerass_own_is_refused(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(StudyError, match="BackupAndRestore cannot be among the callbacks"):
        tune(build, DATA, callbacks=[backup], **ONCE)


class TrainsOnce(keras.Sequential):
    def fit(self, *data, initial_epoch, **more):
        return None if initial_epoch else super().fit(*data, initial_epoch=initial_epoch, **more)


def test_an_epoch_in_which_nothing_is_trained_reports_nothing_old():
    def once(hp):
        model = TrainsOnce(build(hp).layers)
        model.compile("sgd", LOSS, metrics=["accuracy"])
        return model

    with pytest.raises(StudyError, match="An epoch ended without a metric"):
        tune(once, DATA, **(ONCE | {"epochs": 3, "scheduler": None}))


def test_what_is_no_number_is_no_metric():
    class Says(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs |= {"said": "yes", "nothing": None, "one": np.array([0.5])}

    result = tune(build, DATA, callbacks=[Says()], **ONCE)
    assert set(result.best.metrics[0]) == {"loss", "accuracy", "val_loss", "val_accuracy", "one"}


@pytest.mark.parametrize(("fused", "batch_size"), [("auto", 32), ("auto", 48), (False, 48)])
def test_a_value_for_each_class_is_no_objective(fused, batch_size):  # 48 leave some over
    one_hot = tuple((x, np.eye(2, dtype="float32")[y]) for x, y in DATA)

    def each(hp):
        model = build(hp)
        scores = [keras.metrics.F1Score(name="each"), "accuracy"]
        model.compile(model.optimizer, "categorical_crossentropy", metrics=scores)
        return model

    options = ONCE | {"fused": fused, "batch_size": batch_size}
    result = tune(each, one_hot, **options)
    assert set(result.best.metrics[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    with pytest.raises(StudyError, match=r"'val_each' is no single number: it has shape \(2,\)"):
        tune(each, one_hot, maximize="val_each", **options)


def test_an_error_as_the_last_checkpoint_is_written_ends_the_study(monkeypatch):
    class Stops(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    def broken(self, folder):
        raise ZeroDivisionError("as it is written")

    monkeypatch.setattr(State, "save", broken)
    with pytest.raises(ZeroDivisionError):
        tune(build, DATA, callbacks=[Stops()], **(ONCE | {"epochs": 3}))


def test_ones_own_training_function_gives_back_what_it_leaves(monkeypatch):
    calls = []
    monkeypatch.setattr(luthier.train.keras, "give_back", lambda **given: calls.append(given))

    def train(trial):
        fit(trial, net(keras.optimizers.SGD(trial["rate"])), DATA)

    result = luthier.tune(
        train, {"rate": luthier.Float(0.05, 0.1)}, maximize="val_accuracy", epochs=1,
        max_trials=3, storage="memory", progress=False,
    )  # fmt: skip
    assert len(calls) == len(result.trials) == 3
    assert all(t.state is TrialState.COMPLETED for t in result.trials)
