"""Studies made and found again: samplers of studies that exist, grids that are used up, storages."""

from __future__ import annotations

import warnings

import optuna as real
import pytest
from both_optunas import BOTH, quiet  # noqa: F401

import luthier.compat.optuna as door
from luthier.errors import LuthierWarning

# -- grids ---------------------------------------------------------------------------------------


@BOTH
def test_a_grid_that_is_used_up_is_asked_again(optuna):
    sampler = optuna.samplers.GridSampler({"x": [1, 2], "k": ["a", "b"]})
    study = optuna.create_study(sampler=sampler)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(6):  # the first four are still running when the fifth is asked for
            trial = study.ask()
            found.append(
                (trial.suggest_float("x", 0, 9), trial.suggest_categorical("k", ["a", "b"]))
            )
            if number > 3:
                study.tell(trial, 1.0)
    assert len(set(found[:4])) == 4
    assert set(found[4:]) <= set(found[:4])
    assert [t.number for t in study.trials] == list(range(6))


def test_that_is_said_and_what_is_enqueued_goes_first():
    study = door.create_study(sampler=door.samplers.GridSampler({"x": [1, 2]}))
    study.optimize(lambda t: t.suggest_float("x", 0, 9), n_trials=9)
    assert len(study.trials) == 2
    with pytest.warns(LuthierWarning, match="All 2 points of the grid are tried"):
        study.tell(study.ask({"x": door.distributions.FloatDistribution(0, 9)}), 1.0)
    study.enqueue_trial({"x": 2})
    trial = study.ask()
    assert trial.suggest_float("x", 0, 9) == 2.0
    study.tell(trial, 1.0)


def test_what_a_brute_force_search_has_tried_is_asked_again():
    study = door.create_study(sampler=door.samplers.BruteForceSampler())
    study.optimize(lambda t: float(t.suggest_int("n", 1, 3)), n_trials=9)
    assert len(study.trials) == 3
    with pytest.warns(LuthierWarning, match="points of the grid are tried"):
        trial = study.ask()
    assert trial.suggest_int("n", 1, 3) in (1, 2, 3)


@BOTH
def test_a_grids_values_are_as_the_distribution_says(optuna):
    grid = {"x": [1, 2], "n": [1, 3], "k": [None, True]}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(grid))

    def objective(trial):
        x, n = trial.suggest_float("x", 0, 9), trial.suggest_int("n", 0, 9)
        assert type(n) is int
        assert type(x) is float or optuna is real  # which has it so afterwards alone
        assert trial.suggest_categorical("k", [True, None]) in (True, None)
        return x

    study.optimize(objective, n_trials=8)
    assert {type(trial.params["x"]) for trial in study.trials} == {float}
    float_ = optuna.distributions.FloatDistribution(0, 9)
    assert all(trial.distributions["x"] == float_ for trial in study.trials)
    trial = optuna.create_study(sampler=optuna.samplers.GridSampler(grid)).ask()
    with pytest.warns(UserWarning, match="x"):
        assert trial.suggest_float("x", 5, 9) in (1, 2)
    with pytest.raises(ValueError, match=r"None|True"):
        trial.suggest_categorical("k", ["a", "b"])


# -- samplers of studies that exist --------------------------------------------------------------


def test_a_study_keeps_its_sampler_and_says_so(tmp_path):
    url, samplers = f"sqlite:///{tmp_path}/s.db", door.samplers
    door.create_study(study_name="s", storage=url, sampler=samplers.RandomSampler(seed=3))
    same = door.load_study(study_name="s", storage=url, sampler=samplers.RandomSampler(seed=3))
    assert same.sampler == samplers.RandomSampler(seed=3)
    assert door.load_study(study_name="s", storage=url).sampler == samplers.RandomSampler(seed=3)
    for other in (samplers.TPESampler(), samplers.RandomSampler(seed=4)):
        with pytest.warns(LuthierWarning, match=r"keeps the sampler .*RandomSampler\(seed=3\)"):
            study = door.load_study(study_name="s", storage=url, sampler=other)
        assert study.sampler == samplers.RandomSampler(seed=3)
        with pytest.warns(LuthierWarning, match="Give a new study_name"):
            door.create_study(study_name="s", storage=url, sampler=other, load_if_exists=True)
    door.create_study(study_name="g", storage=url, sampler=samplers.GridSampler({"x": [1, 2]}))
    other = samplers.GridSampler({"x": [1, 2, 3]})
    with pytest.warns(LuthierWarning, match="keeps the sampler"):
        study = door.load_study(study_name="g", storage=url, sampler=other)
    assert study.sampler.search_space == {"x": [1, 2]}
    fixed = samplers.PartialFixedSampler({"y": 3}, samplers.TPESampler())
    with pytest.warns(LuthierWarning, match="PartialFixedSampler"):
        study = door.load_study(study_name="s", storage=url, sampler=fixed)
    assert study.ask().suggest_int("y", 1, 9) == 3  # what is fixed is no part of a study


@pytest.mark.parametrize(
    "sampler",
    [
        door.samplers.TPESampler(),
        door.samplers.GPSampler(),
        door.samplers.CmaEsSampler(),
        door.samplers.QMCSampler(),
        door.samplers.QMCSampler("halton"),
        door.samplers.BruteForceSampler(),
        door.samplers.GridSampler({"x": [1.0, 2.0]}),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_the_sampler_of_a_study_is_found_again(tmp_path, sampler):
    url = f"sqlite:///{tmp_path}/s.db"
    door.create_study(study_name="s", storage=url, sampler=sampler)
    found = door.load_study(study_name="s", storage=url).sampler
    assert type(found) is type(sampler)
    assert type(found.searcher()) is type(sampler.searcher())
    assert found.space() == sampler.space()


def test_a_grid_is_gone_on_with_without_its_sampler(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    grid = door.samplers.GridSampler({"x": [1, 2, 3]})
    door.create_study(study_name="s", storage=url, sampler=grid)
    study = door.load_study(study_name="s", storage=url)
    study.optimize(lambda t: t.suggest_float("x", 0, 9), n_trials=9)
    assert sorted(t.params["x"] for t in study.trials) == [1, 2, 3]
    assert list(study.own.space) == ["x"]


# -- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sampler": "tpe"}, r"sampler is 'tpe': expected an object such as TPESampler\(\)"),
        ({"sampler": "random"}, r"such as RandomSampler\(\)"),
        ({"sampler": door.samplers.TPESampler}, r"is the class TPESampler: .* TPESampler\(\)"),
        ({"pruner": "median"}, r"pruner is 'median': expected an object such as MedianPruner\(\)"),
        ({"pruner": door.pruners.NopPruner}, r"is the class NopPruner: .* NopPruner\(\)"),
        ({"storage": 5}, "storage is 5: expected an object such as 'sqlite:///study.db'"),
        ({"study_name": 5}, "study_name is 5: expected a text"),
        ({"sampler": real.samplers.RandomSampler()}, "sampler is <optuna"),
    ],
)
def test_what_is_no_argument_is_told(given, words):
    with pytest.raises(TypeError, match=words):
        door.create_study(**given)
    with pytest.raises(TypeError, match=words):
        door.load_study(**{"study_name": "s", "storage": None} | given)


@BOTH
def test_directions_are_a_list(optuna):
    with pytest.raises(ValueError, match="minimize"):
        optuna.create_study(directions="minimize")


@BOTH
def test_storages_take_what_optunas_do(optuna, tmp_path):
    storages = optuna.storages
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = storages.RDBStorage(
            f"sqlite:///{tmp_path}/s.db",
            heartbeat_interval=60,
            grace_period=120,
            heartbeat_stale_trial_callback=storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
        )
    assert optuna is real or [str(w.message).startswith("RDBStorage: heart") for w in said] == [
        True
    ]
    assert optuna.create_study(storage=made).trials == []
    for wrong in (
        lambda: storages.RDBStorage(f"sqlite:///{tmp_path}/t.db", heartbeat=60),
        lambda: storages.RDBStorage(f"sqlite:///{tmp_path}/t.db", heartbeat_interval=0),
        lambda: storages.InMemoryStorage(5),
        lambda: storages.journal.JournalFileBackend(str(tmp_path / "j"), lock=None),
    ):
        with pytest.raises((TypeError, ValueError, OSError)):
            wrong()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert callable(storages.RetryFailedTrialCallback())
    assert isinstance(storages.get_storage(None), storages.InMemoryStorage)


@BOTH
def test_names_are_where_optuna_has_them(optuna):
    study = optuna.study
    made = study.create_study(study_name="s", storage=optuna.storages.InMemoryStorage())
    assert isinstance(made, study.Study)
    for name in (
        *("load_study", "copy_study", "get_all_study_names", "get_all_study_summaries"),
        *("StudySummary", "StudyDirection", "MaxTrialsCallback"),
    ):
        assert hasattr(study, name)
    assert issubclass(optuna.exceptions.UpdateFinishedTrialError, RuntimeError)
    check, known = optuna.distributions.check_distribution_compatibility, optuna.distributions
    check(known.FloatDistribution(0, 1), known.FloatDistribution(0, 5))
    for a, b in (
        (known.FloatDistribution(0, 1), known.IntDistribution(0, 1)),
        (known.FloatDistribution(1, 2), known.FloatDistribution(1, 2, log=True)),
        (known.CategoricalDistribution("ab"), known.CategoricalDistribution("ac")),
    ):
        with pytest.raises(ValueError):
            check(a, b)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("study", "delete_study"),
        ("storages", "JournalRedisStorage"),
        ("samplers", "nsgaii"),
        ("pruners", "MyPruner"),
        ("trial", "BaseTrail"),
        ("distributions", "BoolDistribution"),
        ("exceptions", "CLIUsageError"),
        ("importance", "ShapImportanceEvaluator"),
        ("logging", "silence"),
    ],
)
def test_what_a_submodule_has_not_it_says_by_name(module, name):
    with pytest.raises(AttributeError, match=rf"luthier.compat.optuna.{module} has no '{name}'"):
        getattr(getattr(door, module), name)
