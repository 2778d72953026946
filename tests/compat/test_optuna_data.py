"""Optuna's studies taken over, and given back, compared field by field through Optuna itself."""

from __future__ import annotations

import math
import warnings

import optuna
import pytest
from click.testing import CliRunner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tests.storage.postgres_server import running_postgres

import luthier as lt
import luthier.compat.optuna as door
from luthier.app.command import commands
from luthier.compat.optuna.exporting import write_optuna
from luthier.compat.optuna.importing import import_optuna
from luthier.compat.optuna.reading import read_studies
from luthier.errors import StorageError, StudyError
from luthier.storage import open_store
from luthier.study.log import read_log
from luthier.study.replay import replay

FIELDS = ("number", "state", "values", "params", "distributions", "intermediate_values", "user_attrs",
          "datetime_start", "datetime_complete")  # fmt: skip


def objective(trial):
    x = trial.suggest_float("x", -10, 10)
    trial.suggest_float("net.lr", 1e-5, 1e-1, log=True)
    trial.suggest_categorical("k", ["a", "b", None, 3])
    trial.suggest_int("n", 1, 9, step=2)
    trial.suggest_float("q", 0, 1, step=0.25)
    if trial.number == 3:
        raise ValueError("no such layer")
    if trial.number in (4, 5):
        return math.nan if trial.number == 4 else math.inf
    for step in range(4):
        trial.report(x**2 + 1 / (step + 1), step)
        if trial.number == 6:
            raise optuna.TrialPruned()
    trial.set_user_attr("note", {"a": [1, 2]})
    return x**2 + 1 / 4


def fill(storage):
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(storage=storage, study_name="one", sampler=sampler)
    study.set_user_attr("data", "fashion")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(objective, n_trials=9, catch=(ValueError,))
        several = optuna.create_study(
            storage=storage,
            study_name="several",
            directions=["minimize", "maximize"],
            sampler=sampler,
        )
        several.set_metric_names(["loss", "speed"])
    study.enqueue_trial({"x": 1.0})
    several.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)), n_trials=3)
    return storage


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "journal", "postgres"])
def source(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/optuna.db"
        return fill(url), url
    if request.param == "journal":
        path = str(tmp_path / "optuna.log")
        return fill(JournalStorage(JournalFileBackend(path))), path
    url = request.getfixturevalue("postgres")
    return fill(url.replace("postgresql://", "postgresql+psycopg://")), url


def test_there_and_back(source, tmp_path):
    storage, url = source
    store = open_store(tmp_path / "luthier.db")
    done = import_optuna(url, store)
    assert [(i.study, i.trials, i.curves) for i in done] == [
        ("one", 9, True),
        ("several", 3, False),
    ]
    for name in ("one", "several"):
        ours = lt.open(name, storage=store)
        assert replay(read_log(store, name), ours.searcher, ours.scheduler).difference == ""
        write_optuna(ours.history, tmp_path / "back.db")
        before = optuna.load_study(study_name=name, storage=storage)
        after = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path}/back.db")
        assert before.directions == after.directions
        assert before.user_attrs == after.user_attrs
        assert before.metric_names == after.metric_names
        assert len(before.trials) == len(after.trials)
        for a, b in zip(before.trials, after.trials, strict=True):
            for field in FIELDS:
                assert getattr(a, field) == getattr(b, field), (name, a.number, field)


def test_what_was_taken_over_is_a_study_like_any_other(tmp_path):
    url = fill(f"sqlite:///{tmp_path}/optuna.db")
    store = open_store(tmp_path / "luthier.db")
    import_optuna(url, store, "one")
    study = lt.open("one", storage=store)
    states = [str(trial.state) for trial in study.trials]
    assert (
        states == ["completed"] * 3 + ["failed"] * 2 + ["diverged", "stopped"] + ["completed"] * 2
    )
    first = study.trials[0]
    x = first.configuration["x"]
    assert first.curve("value") == pytest.approx([x**2 + 1 / n for n in range(1, 5)])
    assert study.space["k"] == lt.Choice("a", "b", None, 3)
    assert study.space["net.lr"] == lt.Float(1e-5, 0.1, scale="log")
    again = door.load_study(study_name="one", storage=store.address)
    assert again.best_value == optuna.load_study(study_name="one", storage=url).best_value
    again.optimize(lambda t: t.suggest_float("x", -10, 10) ** 2, n_trials=2)
    assert again.trials[9].params == {"x": 1.0}  # it was waiting
    assert len(again.trials) == 11


def test_a_study_of_luthiers_own_is_given_to_optuna(tmp_path):
    space = lt.Space(
        lr=lt.Float(1e-4, 1e-1, scale="log"),
        momentum=lt.Float(0.9, 0.999, scale="one_minus_log"),
        units=lt.Int(8, 64, step=8),
        opt=lt.Choice("sgd", "adam"),
        bn=lt.Bool(),
        layers=lt.Constant(3),
    )
    study = lt.open("own", space, maximize="accuracy", storage=tmp_path / "l.db", searcher="random")
    for number in range(4):
        trial = study.ask()
        for step in range(1, 4):
            trial.report(accuracy=math.nan if (number, step) == (3, 2) else number + step % 3)
            if trial.should_stop:
                break
        else:
            study.tell(trial)
    write_optuna(study.history, tmp_path / "o.db")
    found = optuna.load_study(study_name="own", storage=f"sqlite:///{tmp_path}/o.db")
    assert [t.state.name for t in found.trials] == ["COMPLETE"] * 3 + ["FAIL"]
    assert found.best_value == study.best_value == 4.0
    assert found.best_trial.intermediate_values == {1: 3.0, 2: 4.0, 3: 2.0}
    assert found.best_params.keys() == set(space)
    found.add_trial(found.trials[0])  # and Optuna can write to it
    found.optimize(lambda t: t.suggest_float("lr", 1e-4, 1e-1, log=True), n_trials=2)
    assert len(found.trials) == 7


def test_what_was_tried_before_the_space_was_narrowed_is_given_too(tmp_path):
    space = {"opt": lt.Choice("sgd", "adam"), "x": lt.Float(0, 10)}
    study = lt.open("own", space, minimize="loss", storage=tmp_path / "l.db", searcher="random")
    for _ in range(8):
        study.tell(study.ask(), loss=1.0)
    study.steer.space({"opt": lt.Choice("sgd"), "x": lt.Float(0, 1)})
    study.tell(study.ask(), loss=0.5)
    write_optuna(study.history, tmp_path / "o.db")
    found = optuna.load_study(study_name="own", storage=f"sqlite:///{tmp_path}/o.db").trials
    assert [t.params for t in found] == [t.configuration for t in study.trials]
    assert {t.params["opt"] for t in found} == {"sgd", "adam"}


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill("sqlite:///optuna.db")
    run = CliRunner(catch_exceptions=False).invoke
    done = run(commands, ["import", "optuna", "sqlite:///optuna.db", "--study", "several"])
    assert "several: 3 trials taken over" in done.output
    run(commands, ["export", "several", "--to", "back.db"])
    assert optuna.get_all_study_names("sqlite:///back.db") == ["several"]
    with pytest.raises(StudyError, match="There is a study 'several' here already"):
        run(commands, ["import", "optuna", "sqlite:///optuna.db"])
    with pytest.raises(StudyError, match=r"no study 'sevral' .*Did you mean 'several'"):
        run(commands, ["import", "optuna", "sqlite:///optuna.db", "--study", "sevral"])
    with pytest.raises(StorageError, match="Did you mean 'optuna"):
        run(commands, ["import", "optuna", "optun.db"])
    with pytest.raises(StorageError, match="has a study 'several' already"):
        run(commands, ["export", "several", "--to", "back.db"])
    with pytest.raises(StorageError, match="no database of Optuna's"):
        run(commands, ["export", "several", "--to", "luthier.db"])
    with pytest.raises(StorageError, match="neither a database nor a journal"):
        read_studies("luthier.db")
