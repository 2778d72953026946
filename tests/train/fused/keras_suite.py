"""Compiled epochs against Keras's ``fit``, and what they cannot do; on the JAX backend."""

from __future__ import annotations

import gc
import itertools
import random
import sys
from contextlib import nullcontext

import jax
import keras
import numpy as np
import pytest
from pausing import curves, run

import luthier
from luthier.errors import StudyError
from luthier.run.child import resident_bytes
from luthier.run.seeding import seed_keras
from luthier.space import discover
from luthier.train.fused import experience, programs
from luthier.train.fused.starting import drawn_by_numpy
from luthier.train.keras import Training, fit

DATA = luthier.datasets.fashion_mnist("subset")
SMALL = tuple((x[:500], y[:500]) for x, y in (DATA.train, DATA.validation))


def net(units=16, rate=0.005, drop=0.2, decay=1e-3, optimizer=None):
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, kernel_regularizer=keras.regularizers.L2(decay)),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(drop),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = optimizer or keras.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def searched(hp):
    return net(
        drop=hp.float("dropout", 0.1, 0.5),
        decay=hp.float("decay", 1e-6, 1e-2, scale="log"),
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(
                hp.float("learning_rate", 1e-3, 1e-2, scale="log"),
                40,
                warmup_target=hp.float("peak", 0.01, 0.02),
                warmup_steps=5,
            ),
            weight_decay=hp.float("weight_decay", 1e-4, 1e-2, scale="log"),
            beta_1=hp.float("beta_1", 0.8, 0.95, scale="one_minus_log"),
            beta_2=hp.float("beta_2", 0.98, 0.9995, scale="one_minus_log"),
            epsilon=hp.float("epsilon", 1e-8, 1e-5, scale="log"),
            global_clipnorm=hp.float("clip", 0.5, 2.0),
        ),
    )


def test_nine_numbers_one_program(tmp_path, monkeypatch):
    """Trials that differ in optimizer, schedule, regulariser and dropout share one program."""
    monkeypatch.setenv("LUTHIER_PROGRAMS", str(tmp_path / "programs"))
    programs.forget()
    before = len(programs.compiled_seconds)
    training = Training(searched, SMALL, 64, fused=True)
    space = discover(searched)
    whole = run(training, tmp_path / "a", stops=(4,), space=space, trials=3)
    paused = run(training, tmp_path / "b", stops=(1, 3, 4), space=space, trials=3)
    assert len(programs.compiled_seconds) == before + 1
    assert curves(paused) == curves(whole)
    assert len({str(c) for c in curves(whole)}) == 3
    programs.forget()  # from the disk, as another worker would
    again = run(training, tmp_path / "c", stops=(4,), space=space, trials=3)
    assert len(programs.compiled_seconds) == before + 1
    assert curves(again) == curves(whole)


OPTIMIZERS = {
    "sgd": lambda r: keras.optimizers.SGD(r, momentum=0.85, nesterov=True, clipvalue=0.3),
    "rmsprop": lambda r: keras.optimizers.RMSprop(r / 10, rho=0.93, momentum=0.4),
    "accumulating": lambda r: keras.optimizers.Adam(r, gradient_accumulation_steps=2),
    "averaging": lambda r: keras.optimizers.Nadam(
        keras.optimizers.schedules.PiecewiseConstantDecay([5, 9], [r, r / 2, r / 3]),
        use_ema=True,
        ema_overwrite_frequency=4,
    ),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_it_computes_what_fit_computes(tmp_path, kind):
    """Same start, same order, same dropout: equal curves, up to how sums are rounded."""

    def train(fused):
        def one(trial):
            keras.utils.set_random_seed(trial.seed)
            model = net(optimizer=OPTIMIZERS[kind](trial["rate"]))
            fit(trial, model, SMALL, batch_size=60, fused=fused)

        return one

    space = luthier.Space(rate=luthier.Float(0.002, 0.01, scale="log"))
    compiled, ordinary = (
        curves(run(train(fused), tmp_path / str(fused), stops=(3,), space=space))
        for fused in (True, False)
    )
    for (_, ours), (_, theirs) in zip(compiled[0], ordinary[0], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name] == pytest.approx(theirs[name], rel=0.02, abs=0.011), name


def test_weights_of_examples_and_classes_count_as_in_fit(tmp_path):
    """Compiled and by ``fit``; given as classes, as examples, or both; and never without effect."""
    (x, y), validation = SMALL
    counts = {3: 4.0, 5: 0.0}
    each = np.array([counts.get(int(label), 1.0) for label in y], "float32")
    halves = np.where(np.arange(len(y)) % 2, 1.0, 0.5).astype("float32")
    given = {
        "classes": ((x, y), counts, True),
        "examples": ((x, y, each), None, True),
        "both": ((x, y, halves), counts, True),
        "product": ((x, y, halves * each), None, True),
        "none": ((x, y), None, True),
        "fit": ((x, y), counts, False),
        "fit, examples": ((x, y, each), None, False),
    }

    def found(name):
        train, by_class, fused = given[name]

        def one(trial):
            keras.utils.set_random_seed(trial.seed)
            optimizer = keras.optimizers.Adam(trial["rate"])
            model, data = net(optimizer=optimizer), (train, validation)
            fit(trial, model, data, batch_size=60, fused=fused, class_weight=by_class)

        space = luthier.Space(rate=luthier.Float(0.002, 0.01, scale="log"))
        done = run(one, tmp_path / name, stops=(2,), space=space, trials=1)
        return [metrics["loss"] for _, metrics in curves(done)[0]]

    loss = {name: found(name) for name in given}
    assert loss["classes"] == loss["examples"]
    assert loss["both"] == loss["product"] != loss["classes"]
    assert loss["fit"] == pytest.approx(loss["classes"], rel=0.02)
    assert loss["fit, examples"] == pytest.approx(loss["fit"], rel=0.02)
    assert abs(loss["none"][-1] / loss["classes"][-1] - 1) > 0.05


def test_weights_that_cannot_be_are_refused():
    from luthier.train.data import weighted

    with pytest.raises(StudyError, match=r"class_weight\[1\] must be a number from 0, got -2"):
        weighted(SMALL[0], {1: -2})
    with pytest.raises(StudyError, match="the y of the training data has fractions"):
        weighted((SMALL[0][0], SMALL[0][1] + 0.5), {1: 2.0})
    one_hot = np.eye(10)[SMALL[0][1]]
    np.testing.assert_array_equal(
        weighted((SMALL[0][0], one_hot), {1: 2.0})[2], weighted(SMALL[0], {1: 2.0})[2]
    )


def test_starting_weights_have_kerass_distributions():
    kinds = [
        keras.initializers.GlorotUniform(1),
        keras.initializers.HeNormal(2),
        keras.initializers.RandomNormal(0.5, 2.0, seed=3),
        keras.initializers.TruncatedNormal(0.5, 2.0, seed=4),
        keras.initializers.RandomUniform(-3, 1, seed=5),
        keras.initializers.LecunUniform(6),
    ]
    shape = (200, 300)
    with drawn_by_numpy():
        ours = [np.asarray(k(shape)) for k in kinds]
        again = [np.asarray(k(shape)) for k in kinds]
        assert np.asarray(keras.initializers.Ones()((2, 2), "float16")).dtype == np.float16
    theirs = [np.asarray(k(shape)) for k in kinds]
    for a, b, c in zip(ours, theirs, again, strict=True):
        np.testing.assert_array_equal(a, c)
        assert a.dtype == b.dtype
        assert not np.array_equal(a, b)
        scale = float(b.std())
        assert float(a.mean()) == pytest.approx(float(b.mean()), abs=0.02 * scale)
        assert float(a.std()) == pytest.approx(scale, rel=0.02)
        assert float(a.min()) == pytest.approx(float(b.min()), abs=0.6 * scale)
        assert float(a.max()) == pytest.approx(float(b.max()), abs=0.6 * scale)


class Counted(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class OwnStep(keras.Sequential):
    def train_step(self, state, data):
        return super().train_step(state, data)


class CallsBack(keras.layers.Layer):
    def call(self, x):
        return x + jax.lax.stop_gradient(jax.pure_callback(np.zeros_like, x, x))


def small(layers=(), kind=keras.Sequential, **options):
    flat = [keras.Input((28, 28)), keras.layers.Flatten()]
    model = kind([*flat, *layers, keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize(
    ("made", "callbacks", "data", "reason"),
    [
        (lambda: small(kind=OwnStep), (), SMALL, "OwnStep has its own train_step"),
        (small, [Counted()], SMALL, "Counted has on_train_batch_end"),
        (lambda: small([CallsBack()]), (), SMALL, "calls Python in each batch"),
        (lambda: small(run_eagerly=True), (), SMALL, "run_eagerly"),
    ],
)
def test_what_cannot_be_fused_is_said_once_and_trained(
    tmp_path, capsys, made, callbacks, data, reason
):
    def build(hp):
        hp.float("rate", 0.1, 0.2)
        return made()

    options = {"epochs": 1, "name": "s", "progress": False, "callbacks": callbacks}
    result = luthier.keras.tune(
        build, data, max_trials=2, batch_size=250, storage=tmp_path / "a.db", **options
    )
    assert len(result.trials) == 2
    assert capsys.readouterr().err.count(reason) == 1
    with pytest.raises(StudyError, match=reason):
        luthier.keras.tune(
            build, data, max_trials=1, fused=True, storage=tmp_path / "b.db", **options
        )


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(StudyError, match="fused must be"):
        luthier.keras.tune(searched, SMALL, fused="yes", storage=tmp_path / "a.db")


def test_many_trials_leave_no_growth(tmp_path):
    """Measured over 300: 422.7 MB after 50 and 420.8 at the end. Models that stay take 5 MB in 40 trials."""
    sizes = []

    def build(hp):
        sizes.append(resident_bytes())
        hp.float("rate", 1e-3, 1e-2, scale="log")
        return small()

    few = tuple((x[:64], y[:64]) for x, y in SMALL)
    gc.freeze()  # what earlier tests loaded need not be looked through after each trial
    luthier.keras.tune(
        build, few, epochs=1, max_trials=120, batch_size=64, name="s", searcher="random",
        storage=tmp_path / "a.db", progress=False, fused=True,
    )  # fmt: skip
    assert max(sizes[80:]) - max(sizes[40:80]) < 3.5 * 2**20


def close(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert [step for step, _ in one] == [step for step, _ in other]
        for (_, mine), (_, yours) in zip(one, other, strict=True):
            for name in mine:
                assert mine[name] == pytest.approx(yours[name], rel=0.02, abs=0.021), name


def mixed(hp):
    """Return nets of two widths, so that two programs take turns."""
    return net(units=hp.choice("units", [12, 16]), rate=hp.float("rate", 0.001, 0.01, scale="log"))


@pytest.mark.parametrize("scheduler", ["hyperband", "asha", None])
def test_side_by_side_gives_the_curves_of_one_after_the_other(tmp_path, scheduler):
    """Rungs run as groups, survivors go on in a smaller one, free places take what is promoted."""
    several, alone = (
        luthier.keras.tune(
            mixed, SMALL, epochs=4, max_trials=6, batch_size=100, seed=1, name="s", fused=fused,
            searcher="random", scheduler=scheduler, storage=tmp_path / f"{fused}.db", progress=False,
        ).study
        for fused in (4, 1)
    )  # fmt: skip
    if scheduler != "asha":  # which trial it promotes depends on what had been reported by then
        close(curves(several), curves(alone))
    assert all(t.state.ended for t in several.trials)
    assert [t.configuration for t in several.trials] == [t.configuration for t in alone.trials]


@pytest.mark.parametrize("scheduler", ["hyperband", None])
def test_programs_beside_each_other_give_the_very_curves(tmp_path, monkeypatch, scheduler):
    monkeypatch.setattr(experience, "threads", lambda: cores)
    monkeypatch.setenv("LUTHIER_PROGRAMS", "")
    programs.forget()  # so that they are compiled beside each other, too
    told = []
    for cores in (3, 1):
        study = luthier.keras.tune(
            mixed, SMALL, epochs=4, max_trials=6, batch_size=100, seed=1, name="s",
            searcher="random", scheduler=scheduler, storage=tmp_path / f"{cores}.db", progress=False,
        ).study  # fmt: skip
        told.append((curves(study), [t.configuration for t in study.trials]))
    assert told[0] == told[1]


def test_who_trains_beside_others(tmp_path, monkeypatch):
    """Nobody whose proposal hangs on a result, and nobody without a program."""
    monkeypatch.setattr(experience, "threads", lambda: 3)
    abreast = []
    wanted = experience.wanted_width
    monkeypatch.setattr(
        luthier.train.keras,
        "wanted_width",
        lambda *given: abreast.append((len(given[2]), wanted(*given))) or abreast[-1][1],
    )

    def searches(searcher, build=mixed, **options):
        abreast.clear()
        luthier.keras.tune(
            build, SMALL, epochs=1, max_trials=4, batch_size=100, seed=1, searcher=searcher,
            storage="memory", progress=False, **{"scheduler": None} | options,
        )  # fmt: skip
        return max(under_way for under_way, _ in abreast), {width for _, width in abreast}

    assert searches("random") == (3, {3})
    assert searches("sobol", fused=True) == (3, {3})
    assert searches("random", scheduler="hyperband") == (3, {3})
    assert searches("auto") == (0, {1})
    assert searches("random", fused=2)[1] == {2}
    for scheduler in ("asha", "dehb"):  # whom they promote, and breed, hangs on who came first
        assert searches("random", scheduler=scheduler) == (0, {1})
    assert searches("random", widen=True) == (0, {1})
    with monkeypatch.context() as little:
        little.setattr(experience, "memory_for_one_more", lambda: False)
        assert searches("random") == (1, {1, 3})

    class Own(keras.Sequential):
        def train_step(self, *given):
            return super().train_step(*given)

    def ordinary(hp):
        model = Own(net(rate=hp.float("rate", 0.001, 0.01)).layers)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    assert searches("random", ordinary) == (1, {1, 3})  # 3 as long as nothing is known


def test_names_are_those_of_a_trial_alone(tmp_path, monkeypatch):
    """Keras numbers what has no name of its own; the second model's metric would be another one."""
    monkeypatch.setattr(experience, "threads", lambda: 3)
    monkeypatch.setenv("LUTHIER_PROGRAMS", "")
    programs.forget()
    before = len(programs.compiled_seconds)

    def build(hp):
        model = net(rate=hp.float("rate", 0.001, 0.01))
        unnamed = keras.metrics.SparseTopKCategoricalAccuracy(3)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=[unnamed])
        return model

    result = luthier.keras.tune(
        build, SMALL, epochs=1, max_trials=5, batch_size=100, searcher="random", scheduler=None,
        maximize="val_sparse_top_k_categorical_accuracy", storage="memory", progress=False,
    )  # fmt: skip
    assert len(result.trials) == 5
    assert len(programs.compiled_seconds) == before + 1


@pytest.mark.parametrize("where", ["callback", "memory"])
def test_what_goes_wrong_beside_others_is_its_trials_own(tmp_path, monkeypatch, where):
    from luthier.train.fused import side_by_side

    monkeypatch.setattr(experience, "threads", lambda: 3)
    timed, calls = side_by_side._timed, itertools.count()

    def scarce(program, arguments):
        if where == "memory" and next(calls) == 3:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return timed(program, arguments)

    class Fails(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if where == "callback" and next(calls) == 3:
                raise ZeroDivisionError("in a callback")

    monkeypatch.setattr(side_by_side, "_timed", scarce)
    with pytest.raises(ZeroDivisionError) if where == "callback" else nullcontext():
        luthier.keras.tune(
            searched, SMALL, epochs=2, max_trials=5, batch_size=100, name="s", searcher="random",
            scheduler=None, storage=tmp_path / "a.db", progress=False, callbacks=[Fails()],
        )  # fmt: skip
    states = [t.state.value for t in luthier.open("s", storage=tmp_path / "a.db").trials]
    assert states.count("failed") == 1
    assert "running" not in states
    if where == "memory":
        assert states.count("completed") == 4


def test_who_runs_out_of_memory_runs_in_halves(tmp_path, monkeypatch):
    from luthier.train.fused import side_by_side

    widths = []
    begun = side_by_side._begun

    def scarce(part):
        widths.append(len(part.turns))
        if len(part.turns) > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return begun(part)

    monkeypatch.setattr(side_by_side, "_begun", scarce)
    result = luthier.keras.tune(
        searched, SMALL, epochs=2, max_trials=4, batch_size=100, name="s", fused=4,
        scheduler=None, storage=tmp_path / "a.db", progress=False,
    )  # fmt: skip
    assert widths == [4, 2, 2, 2, 2]
    assert [t.step for t in result.trials] == [2] * 4
    experience.experience.most.clear()


def test_an_error_in_one_gives_the_others_back(tmp_path):
    def build(hp):
        if hp.float("rate", 0.001, 0.01) and len(made) == 2:
            raise ZeroDivisionError("third")
        made.append(1)
        return net()

    made = [1, 1]
    with pytest.raises(ZeroDivisionError):
        luthier.keras.tune(build, SMALL, max_trials=1, name="x", storage=tmp_path / "l.db")
    made = []
    options = {"name": "s", "fused": 4, "epochs": 1, "storage": tmp_path / "l.db"}
    made.append(1)
    with pytest.raises(ZeroDivisionError):
        luthier.keras.tune(build, SMALL, max_trials=4, progress=False, **options)
    study = luthier.open("s", storage=tmp_path / "l.db")
    states = sorted(t.state.value for t in study.trials)
    assert states.count("failed") == 1
    assert "running" not in states


def test_seeding_does_what_kerass_own_does_and_imports_no_other_framework(monkeypatch):
    from keras.src.utils import rng_utils

    def drawn():
        ours = [random.random(), np.random.random(), np.asarray(keras.random.normal((3,))).tolist()]
        return [*ours, net().layers[1].kernel.numpy().tolist()]

    keras.utils.set_random_seed(7)
    theirs = drawn()
    assert theirs != drawn()
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(rng_utils, "tf", None)  # Keras's own would ask it whether it is installed
    seed_keras(keras, 7)
    assert drawn() == theirs


def test_keras_checkpoints_after_epochs_are_written_beside_compiled_epochs(tmp_path):
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "last.keras"),
        keras.callbacks.TerminateOnNaN(),
    ]

    def build(hp):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, activation="softmax")])
        rate = hp.float("rate", 1e-3, 1e-1, scale="log")
        model.compile(
            keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    x = np.random.default_rng(0).normal(size=(200, 6)).astype("float32")
    data = (x, (x[:, 0] > 0).astype("int32"))
    options = {"data": (data, data), "epochs": 1, "max_trials": 1, "progress": False}
    result = luthier.keras.tune(
        build, fused=True, callbacks=callbacks, name="s", storage=tmp_path / "s.db", **options
    )
    kept = keras.models.load_model(tmp_path / "last.keras").get_weights()
    for ours, theirs in zip(result.model().get_weights(), kept, strict=True):
        assert np.array_equal(ours, theirs)
    every = keras.callbacks.ModelCheckpoint(tmp_path / "last.keras", save_freq=10)
    with pytest.raises(StudyError, match="looks at each batch"):
        luthier.keras.tune(
            build, fused=True, callbacks=[every], name="t", storage=tmp_path / "s.db", **options
        )
