"""Where studies are kept: Optuna's own at the same place, memory, names of objectives, what is imported."""

from __future__ import annotations

import importlib
import shlex
import warnings

import numpy as np
import optuna as real
import pytest
from both_optunas import BOTH, quiet  # noqa: F401
from click.testing import CliRunner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tests.storage.postgres_server import running_postgres

import luthier.compat.optuna as door
from luthier.app.command import commands
from luthier.compat.optuna.exporting import write_optuna
from luthier.compat.optuna.importing import import_optuna
from luthier.errors import StorageError
from luthier.storage import open_store

# -- Optuna's own, beside ours -----------------------------------------------------------------------


@pytest.fixture(params=["journal", "postgres"])
def place(request, tmp_path):
    """Return Optuna's storage and ours, at one place."""
    if request.param == "journal":
        path = str(tmp_path / "study.log")
        return JournalStorage(JournalFileBackend(path)), door.storages.JournalStorage(
            door.storages.JournalFileBackend(path)
        )
    url = request.getfixturevalue("postgres").replace("postgresql://", "postgresql+psycopg://")
    return url, url


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server.url


def test_optunas_own_studies_are_not_passed_over(place, tmp_path, monkeypatch):
    theirs, ours = place
    assert door.get_all_study_names(ours) == []
    study = real.create_study(study_name="my study", storage=theirs)
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=3)
    for call in (
        lambda: door.create_study(study_name="my study", storage=ours, load_if_exists=True),
        lambda: door.load_study(study_name="my study", storage=ours),
        lambda: door.get_all_study_names(ours),
        lambda: door.copy_study(
            from_study_name="my study", from_storage=ours, to_storage=str(tmp_path / "copy.db")
        ),
    ):
        with pytest.raises(StorageError, match="luthier import optuna") as told:
            call()
    with pytest.raises(door.exceptions.NoSuchStudy):
        door.load_study(study_name="another", storage=ours)
    # What it says is done, and then the script goes on.
    command = shlex.split(str(told.value).splitlines()[1])
    if "postgresql" in command[3]:
        url = ours.replace("+psycopg", "")
        command = [url if part.startswith("postgresql") else part for part in command]
    CliRunner(catch_exceptions=False).invoke(commands, command[1:])
    again = door.create_study(study_name="my study", storage=ours, load_if_exists=True)
    assert [t.params for t in again.trials] == [t.params for t in study.trials]
    new = door.create_study(study_name="another", storage=ours)
    assert new.trials == []


def test_any_other_file_beside_is_no_journal(tmp_path):
    for text in ("", "step 1: done\n"):
        (tmp_path / "study.log").write_text(text)
        backend = door.storages.JournalFileBackend(str(tmp_path / "study.log"))
        storage = door.storages.JournalStorage(backend)
        door.create_study(study_name="s", storage=storage, load_if_exists=True)
    assert door.get_all_study_names(storage) == ["s"]


# -- memory ------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite://"])
def test_sqlites_word_for_memory_means_memory(optuna, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = optuna.create_study(study_name="s", storage=url)
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    optuna.create_study(study_name="s", storage=url)  # each has a database of its own
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(study_name="s", storage=storage)
    assert optuna.get_all_study_names(storage) == ["s"]
    assert list(tmp_path.iterdir()) == []


# -- summaries ---------------------------------------------------------------------------------------


@BOTH
def test_studies_without_a_feasible_trial_are_summarized(optuna):
    storage = optuna.storages.InMemoryStorage()
    for name, constraint in (("good", -1.0), ("bad", 1.0)):
        study = optuna.create_study(study_name=name, storage=storage)
        trial = study.ask()
        trial.set_constraint("memory", constraint)
        study.tell(trial, 2.0)
    optuna.create_study(study_name="new", storage=storage).ask()
    found = {s.study_name: s for s in optuna.get_all_study_summaries(storage)}
    assert found["good"].best_trial.value == 2.0
    assert found["new"].best_trial is None
    assert [found[name].n_trials for name in ("good", "bad", "new")] == [1, 1, 1]
    if optuna is door:  # Optuna's summary takes one that breaks its constraints for the best
        assert found["bad"].best_trial is None


# -- the names of objectives -------------------------------------------------------------------------


@pytest.mark.parametrize("names", [None, ["loss"], ["loss", "speed"], ["loss", "loss"], [" ", "x"]])
def test_objectives_keep_their_names_there_and_back(names, tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    directions = ["minimize"] * len(names or "ab")
    study = real.create_study(study_name="s", storage=url, directions=directions)
    if names is not None:
        study.set_metric_names(names)
    study.tell(study.ask(), [1.0, 2.0][: len(directions)])
    store = open_store(tmp_path / "luthier.db")
    import_optuna(url, store)
    here = door.load_study(study_name="s", storage=store.address)
    assert here.metric_names == study.metric_names == names
    write_optuna(here.own.history, tmp_path / "back.db")
    back = real.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/back.db")
    assert back.metric_names == names
    assert back.trials[0].values == study.trials[0].values


def test_names_that_are_set_here_are_exported(tmp_path):
    study = door.create_study(storage=f"sqlite:///{tmp_path}/l.db", study_name="s")
    write_optuna(study.own.history, tmp_path / "before.db")
    study.set_metric_names(["loss"])
    write_optuna(study.own.history, tmp_path / "after.db")
    for file, expected in (("before", None), ("after", ["loss"])):
        found = real.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/{file}.db")
        assert found.metric_names == expected


# -- names that scripts import -----------------------------------------------------------------------


@BOTH
def test_a_journals_locks_and_hyperopts_settings_are_there(optuna, tmp_path):
    path = str(tmp_path / "study.log")
    for module in (optuna.storages, optuna.storages.journal):
        for name in ("JournalFileOpenLock", "JournalFileSymlinkLock"):
            lock = getattr(module, name)(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                optuna.storages.journal.JournalFileBackend(path, lock_obj=lock)
            with pytest.raises(ValueError):
                getattr(module, name)(path, grace_period=0)
    settings = optuna.samplers.TPESampler.hyperopt_parameters()
    known = real.samplers.TPESampler.hyperopt_parameters()
    assert settings.keys() == known.keys()
    for name, value in known.items():
        for trials in (0, 1, 24, 25, 26, 300) if callable(value) else ():
            np.testing.assert_allclose(settings[name](trials), value(trials))
        assert callable(value) or settings[name] == value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(**settings))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)


@pytest.mark.parametrize("name", ["visualization", "integration", "artifacts", "terminator"])
def test_whole_modules_that_are_not_there_say_so_by_name(name):
    words = rf"luthier.compat.optuna has no '{name}': docs/migration.md .* Instead: "
    with pytest.raises(ImportError, match=words):
        importlib.import_module(f"luthier.compat.optuna.{name}")
    with pytest.raises(ImportError, match=words):
        exec(f"from luthier.compat.optuna.{name} import anything")
    with pytest.raises(AttributeError, match=words):
        getattr(door, name)


# -- what waits --------------------------------------------------------------------------------------


def test_what_waits_keeps_its_attributes_there_and_back(tmp_path):
    url = f"sqlite:///{tmp_path}/optuna.db"
    study = real.create_study(study_name="s", storage=url)
    study.enqueue_trial({"x": 0.5}, user_attrs={"memo": "by hand"})
    store = open_store(tmp_path / "luthier.db")
    import_optuna(url, store)
    here = door.load_study(study_name="s", storage=store.address)
    write_optuna(here.own.history, tmp_path / "back.db")
    back = real.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/back.db")
    for one in (study, here, back):
        (trial,) = one.trials
        assert (trial.state.name, trial.user_attrs) == ("WAITING", {"memo": "by hand"})
        one.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
        assert one.trials[0].params == {"x": 0.5}
        assert one.trials[0].user_attrs == {"memo": "by hand"}
