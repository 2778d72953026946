"""What happens around compiled epochs of Keras models: data, callbacks, memory; on the JAX backend."""

from __future__ import annotations

import random
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_suite import SMALL, close, net, searched
from pausing import curves, run

import luthier
from luthier.errors import StudyError
from luthier.space import discover
from luthier.train.fused import experience, loaded, place, programs, side_by_side
from luthier.train.keras import Training, fit

LOSS = "sparse_categorical_crossentropy"
ONCE = {"epochs": 1, "max_trials": 1, "batch_size": 100, "storage": "memory", "progress": False}


def rated(hp):
    return net(rate=hp.float("rate", 0.001, 0.01, scale="log"))


def test_data_that_were_changed_in_place_are_put_on_the_device_anew():
    (x, y), validation = (tuple(part.copy() for part in pair) for pair in SMALL)
    first = loaded.on_device((x, y))
    assert loaded.on_device((x, y)) is first
    held = x[3, 5, 7]
    x[3, 5, 7] += 0.25
    assert float(loaded.on_device((x, y))[0][3, 5, 7]) == held + 0.25
    order = np.random.default_rng(0).permutation(len(y))
    x[:], y[:] = x[order], y[order]
    assert np.array_equal(loaded.on_device((x, y))[0], x)
    assert len([kept for kept in loaded._kept if kept.given[0] is x]) == 1
    luthier.keras.tune(rated, ((x, y), validation), **ONCE)
    assert not loaded._kept


def from_one_start(folder, fused, data, epochs=1, callbacks=(), metrics=("accuracy",)):
    """Return the curve of a net whose first weights Keras draws, however it trains."""

    def one(trial):
        keras.utils.set_random_seed(trial.seed)
        model = net(rate=trial["rate"])
        model.compile(model.optimizer, LOSS, metrics=list(metrics))
        fit(trial, model, data, batch_size=100, fused=fused, callbacks=callbacks)

    space = luthier.Space(rate=luthier.Float(0.002, 0.01, scale="log"))
    return curves(run(one, folder, stops=(epochs,), space=space, maximize="val_loss"))


def test_what_a_callback_changes_in_the_data_is_seen_in_the_next_epoch(tmp_path):
    def trained(fused, changes=True):
        (x, y), validation = SMALL
        x = x.astype("float64")  # floats of 32 bits a processor may use where they are

        class Turns(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if changes:
                    x[:] = x[:, ::-1]

        folder = tmp_path / f"{fused} {changes}"
        return from_one_start(folder, fused, ((x, y), validation), 2, lambda: [Turns()])

    compiled = trained(True)
    close(compiled, trained(False))
    still = trained(True, changes=False)
    assert compiled[0][0] == still[0][0]
    assert compiled[0][1] != still[0][1]


def furthest(y_true, y_pred):
    return keras.ops.max(y_pred)


def test_what_a_metric_measures_of_a_batch_is_that_of_fit(tmp_path):
    few = (SMALL[0], tuple(part[:300] for part in SMALL[1]))
    [[(_, ours)]], [[(_, theirs)]] = (
        from_one_start(tmp_path / str(fused), fused, few, metrics=[furthest])
        for fused in (True, False)
    )
    assert ours["val_furthest"] == pytest.approx(theirs["val_furthest"], rel=0.005)


HEARD = []  # copies of a callback share it


class Around(keras.callbacks.Callback):
    """Notes what it hears, and what is drawn as it does."""

    def on_epoch_begin(self, epoch, logs=None):
        HEARD.append(("begin", epoch, random.random(), float(np.random.random())))

    def on_test_end(self, logs=None):
        HEARD.append(("tested", logs))

    def on_epoch_end(self, epoch, logs=None):
        HEARD.append(("end", epoch, random.random(), float(np.random.random())))


def test_callbacks_hear_what_fit_tells_and_draw_the_same_each_time(tmp_path):
    def heard(name, **options):
        HEARD.clear()
        luthier.keras.tune(
            rated, SMALL, callbacks=[Around()], fused=True, name="s",
            storage=tmp_path / f"{name}.db",
            **{"epochs": 3, "max_trials": 1, "batch_size": 100, "progress": False} | options,
        )  # fmt: skip
        return list(HEARD)

    whole = heard("a", scheduler=None)
    assert heard("b", scheduler=None) == whole
    measured = [logs for what, logs in (h for h in whole if h[0] == "tested")]
    assert [set(logs) for logs in measured] == [{"loss", "accuracy"}] * 3
    drawn = [h for h in whole if h[0] != "tested"]
    assert len({h[2:] for h in drawn}) == len(drawn)


def test_callbacks_draw_the_same_after_a_pause(tmp_path):
    training, space = Training(rated, SMALL, 100, [Around()], True), discover(rated)

    def heard(name, stops):
        HEARD.clear()
        run(training, tmp_path / name, stops=stops, space=space)
        return list(HEARD)

    assert heard("paused", (1, 2, 3)) == heard("whole", (3,))


def test_who_runs_out_of_memory_together_begins_its_epoch_once(monkeypatch):
    timed, begun = side_by_side._timed, []

    def scarce(program, arguments):
        order = arguments[3]
        if order.ndim > 1 and len(order) > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return timed(program, arguments)

    class Begins(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            begun.append((id(self.model), epoch))

    monkeypatch.setattr(side_by_side, "_timed", scarce)
    result = luthier.keras.tune(
        searched, SMALL, callbacks=lambda: [Begins()], fused=4, scheduler=None,
        **(ONCE | {"max_trials": 4}),
    )  # fmt: skip
    assert [t.step for t in result.trials] == [1] * 4
    assert len(begun) == len(set(begun)) == 4
    experience.experience.most.clear()


@pytest.mark.parametrize("searcher", ["random", "auto"])
def test_accelerators_train_side_by_side_only_where_no_proposal_is_the_worse(monkeypatch, searcher):
    def width(fused="auto"):
        return experience.wanted_width(fused, study, [])

    study = luthier.open(
        "s", luthier.Space(rate=luthier.Float(0, 1)), maximize="score", storage="memory",
        searcher=searcher, scheduler=None, max_trials=9,
    )  # fmt: skip
    monkeypatch.setattr(experience, "on_processor", lambda: False)
    monkeypatch.setattr(experience.experience, "width", lambda: 4, raising=False)
    assert width() == (4 if searcher == "random" else 1)
    assert width(8) == 8


@pytest.fixture
def two_steps_an_epoch():
    keras.config.set_max_steps_per_epoch(2)
    yield
    keras.config.set_max_steps_per_epoch(None)


def test_a_limit_of_steps_is_kept(two_steps_an_epoch, capsys):
    steps = []

    class Counts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            steps.append(int(self.model.optimizer.iterations))

    luthier.keras.tune(rated, SMALL, callbacks=lambda: [Counts()], **ONCE)
    assert steps == [2]
    assert "max_steps_per_epoch() ends epochs early" in capsys.readouterr().err


def test_a_callback_that_acts_before_validation_takes_the_ordinary_way(capsys):
    def averaging(hp):
        return net(optimizer=keras.optimizers.Adam(hp.float("rate", 1e-3, 1e-2), use_ema=True))

    swaps = [keras.callbacks.SwapEMAWeights()]
    with pytest.raises(StudyError, match=r"SwapEMAWeights has on_test_begin\(\)"):
        luthier.keras.tune(averaging, SMALL, callbacks=swaps, fused=True, **ONCE)
    measured, plain = (
        luthier.keras.tune(averaging, SMALL, callbacks=own, scheduler=None, **ONCE)
        for own in (swaps, ())
    )
    assert capsys.readouterr().err.count("SwapEMAWeights has on_test_begin()") == 1
    model = measured.model()
    [loss, _] = model.evaluate(*SMALL[1], verbose=0)
    found, other = (curves(result.study)[0][0][1]["val_loss"] for result in (measured, plain))
    assert loss == pytest.approx(found, rel=1e-3)
    assert abs(other / found - 1) > 0.01


def test_a_cache_that_cannot_be_looked_into_costs_time_alone(tmp_path, monkeypatch):
    def denied(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    def twice(key):
        programs.forget()
        return programs.program(key, lambda x: 2 * x, (np.ones(3),))(np.ones(3))

    monkeypatch.setenv("LUTHIER_PROGRAMS", str(tmp_path))
    with monkeypatch.context() as closed:
        closed.setattr(Path, "stat", denied)
        assert np.array_equal(twice("a"), [2, 2, 2])
    monkeypatch.delenv("LUTHIER_PROGRAMS")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert place.folder() is None
    assert np.array_equal(twice("b"), [2, 2, 2])


def test_programs_leave_other_files_alone(tmp_path, monkeypatch):
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    monkeypatch.setenv("LUTHIER_PROGRAMS", str(folder))
    monkeypatch.setattr(programs, "_KEPT_ON_DISK", 1)
    for number in range(3):
        programs.forget()
        program = programs.program(f"twice {number}", lambda x: 2 * x, (np.ones(3),))
        assert np.array_equal(program(np.ones(3)), [2, 2, 2])
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2
    assert names[1] == "notes.txt"

    def full(*paths):
        raise OSError("no space left on device")

    class Full:
        def __init__(self, file):
            self._file, self.name = file, file.name

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._file.close()

        def write(self, content):
            full()

    made = programs.tempfile.NamedTemporaryFile
    monkeypatch.setattr(
        programs.tempfile, "NamedTemporaryFile", lambda **given: Full(made(**given))
    )
    programs.forget()
    programs.program("thrice", lambda x: 3 * x, (np.ones(3),))(np.ones(3))
    assert sorted(path.name for path in folder.iterdir()) == names
