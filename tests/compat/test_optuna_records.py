"""What is recorded of trials, and who can change it."""

from __future__ import annotations

import datetime
import math
import warnings

import optuna as real
import pytest
from both_optunas import BOTH, quiet  # noqa: F401

import luthier as lt
import luthier.compat.optuna as door
from luthier.compat.optuna.exporting import write_optuna
from luthier.compat.optuna.importing import import_optuna
from luthier.storage import open_store

# -- copies --------------------------------------------------------------------------------------


@BOTH
def test_a_trials_parameters_are_copies(optuna):
    study = optuna.create_study()

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        mine = trial.params
        mine.update(batch=32)
        mine.pop("x")
        trial.distributions.clear()
        trial.set_user_attr("sizes", [1])
        trial.user_attrs["sizes"].append(2)
        return x

    study.optimize(objective, n_trials=2)
    for trial in study.trials:
        assert trial.params.keys() == trial.distributions.keys() == {"x"}
        assert trial.user_attrs == {"sizes": [1]}
    study.set_user_attr("sizes", [1])
    study.user_attrs["sizes"].append(2)
    assert study.user_attrs == {"sizes": [1]}


@BOTH
def test_attributes_are_what_they_were_when_they_were_set(optuna, tmp_path):
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/study.db")
    trial, sizes = study.ask(), [1]
    trial.set_user_attr("sizes", sizes)
    study.set_user_attr("sizes", sizes)
    study.enqueue_trial({"x": 0.5}, user_attrs={"sizes": sizes})
    sizes.append(2)
    assert study.user_attrs == {"sizes": [1]}
    assert [t.user_attrs for t in study.trials] == [{"sizes": [1]}] * 2


@BOTH
def test_callbacks_and_tell_give_copies(optuna):
    study, seen = optuna.create_study(), []

    def first(study, trial):
        trial.params.clear()
        trial.user_attrs["k"] = 1

    def second(study, trial):
        seen.append((dict(trial.params), dict(trial.user_attrs)))

    study.optimize(lambda t: t.suggest_int("x", 3, 3), n_trials=1, callbacks=[first, second])
    assert seen == [({"x": 3}, {})]
    told = study.tell(study.ask({"x": optuna.distributions.IntDistribution(3, 3)}), 1.0)
    told.params["x"] = 9
    told.user_attrs["k"] = 1
    assert [(t.params, t.user_attrs) for t in study.trials] == [({"x": 3}, {})] * 2


# -- constraints ---------------------------------------------------------------------------------


def constrained(storage):
    study = real.create_study(study_name="s", storage=storage)
    for value, constraint in ((1.0, 1.0), (2.0, -1.0)):
        trial = study.ask()
        trial.set_constraint("memory", constraint)
        study.tell(trial, value)
    for attribute in (
        {"constraints": [0.5, -1.0]},
        {"constraints": (-1.0, -2.0)},
        {"constraints": None},
    ):
        study.add_trial(real.trial.create_trial(value=3.0, system_attrs=attribute))
    return study


def test_constraints_go_there_and_back(tmp_path):
    before = constrained(f"sqlite:///{tmp_path}/optuna.db")
    store = open_store(tmp_path / "luthier.db")
    import_optuna(f"sqlite:///{tmp_path}/optuna.db", store)
    here = door.load_study(study_name="s", storage=store.address)
    expected = [
        {"memory": 1.0},
        {"memory": -1.0},
        {"0": 0.5, "1": -1.0},
        {"0": -1.0, "1": -2.0},
        {},
    ]
    assert [t.constraints for t in before.trials] == expected
    assert [t.constraints for t in here.trials] == expected
    assert here.best_trial.number == before.best_trial.number == 1
    trial = here.ask()
    trial.set_constraint("speed", 2.0)
    here.tell(trial, 0.0)
    write_optuna(here.own.history, tmp_path / "back.db")
    after = real.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/back.db")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [t.constraints for t in after.trials] == [*expected, {"speed": 2.0}]
    assert after.best_trial.number == here.best_trial.number == 1


@BOTH
def test_constraints_are_system_attributes(optuna):
    study = optuna.create_study()
    trial = study.ask()
    trial.set_constraint("memory", 1.0)
    study.tell(trial, 1.0)
    study.add_trial(optuna.trial.create_trial(value=1.0, constraints={"memory": -1.0}))
    study.add_trial(optuna.trial.create_trial(value=1.0, system_attrs={"constraints": [0.5]}))
    assert [t.system_attrs for t in study.trials] == [
        {"constraints:memory": 1.0},
        {"constraints:memory": -1.0},
        {"constraints": [0.5]},
    ]
    assert [t.constraints for t in study.trials] == [{"memory": 1.0}, {"memory": -1.0}, {"0": 0.5}]
    assert study.best_trial.number == 1


# -- values that are not finite --------------------------------------------------------------------


@BOTH
def test_an_infinite_objective_is_beaten(optuna):
    study = optuna.create_study(directions=["minimize", "minimize", "maximize"])
    told = [(1.0, 1.0, 1.0), (1.0, math.inf, 1.0), (1.0, 1.0, -math.inf), (math.inf, 0.5, 1.0)]
    for values in told:
        study.tell(study.ask(), values)
    assert [tuple(t.values) for t in study.trials] == told
    assert {t.state.name for t in study.trials} == {"COMPLETE"}
    assert [t.number for t in study.best_trials] == [0, 3]


def test_infinite_objectives_come_back_by_another_process_too(tmp_path):
    study = door.create_study(
        storage=f"sqlite:///{tmp_path}/l.db", study_name="s", directions=["minimize", "minimize"]
    )
    study.tell(study.ask(), (1.0, math.inf))
    again = door.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/l.db")
    assert again.trials[0].values == [1.0, math.inf]
    write_optuna(again.own.history, tmp_path / "back.db")
    back = real.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/back.db")
    assert back.trials[0].values == [1.0, math.inf]


def test_of_a_curve_the_best_step_still_counts(tmp_path):
    study = lt.open(
        "own", {"x": lt.Float(0, 1)}, minimize=["loss", "size"], storage=tmp_path / "l.db"
    )
    trial = study.ask()
    for loss, size in ((2.0, 3.0), (1.0, 5.0), (4.0, 7.0)):
        trial.report(loss=loss, size=size)
    study.tell(trial)
    write_optuna(study.history, tmp_path / "o.db")
    found = real.load_study(study_name="own", storage=f"sqlite:///{tmp_path}/o.db")
    assert found.trials[0].values == [1.0, 5.0]


# -- names ---------------------------------------------------------------------------------------


@BOTH
def test_a_name_is_that_name_and_no_longer_one(optuna):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(trial):
        return trial.suggest_float(("enc.lr", "lr")[trial.number % 2], 0, 1)

    study.optimize(objective, n_trials=4)
    assert [set(t.params) for t in study.trials] == [{"enc.lr"}, {"lr"}] * 2
    if optuna is door:
        assert [set(t.configuration) for t in study.own.trials] == [{"enc.lr"}, {"lr"}] * 2


@BOTH
def test_what_was_enqueued_for_a_longer_name_is_not_taken(optuna):
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("enc.lr", 0, 1), n_trials=1)
    study.enqueue_trial({"enc.lr": 0.125})
    study.optimize(lambda t: t.suggest_float("lr", 0, 1), n_trials=1)
    assert study.trials[1].params.keys() == {"lr"}
    assert study.trials[1].params["lr"] != 0.125


# -- made by hand --------------------------------------------------------------------------------


@BOTH
def test_a_frozen_trial_is_made_with_optunas_arguments(optuna):
    now, of = datetime.datetime.now(), optuna.distributions.FloatDistribution(0, 1)
    trial = optuna.trial.FrozenTrial(
        *(7, optuna.trial.TrialState.COMPLETE, 0.5, now, now, {"x": 0.25}, {"x": of}),
        *({"a": 1}, {"constraints:m": -1.0}, {3: 0.75}, 70),
    )
    assert (trial.number, trial.value, trial.values, trial.params) == (7, 0.5, [0.5], {"x": 0.25})
    assert (trial.user_attrs, trial.constraints, trial.last_step) == ({"a": 1}, {"m": -1.0}, 3)
    assert trial.datetime_complete == now
    assert trial.suggest_float("x", 0, 1) == 0.25
    study = optuna.create_study()
    study.add_trial(trial)
    assert study.best_value == 0.5
    several = optuna.trial.FrozenTrial(
        *(0, optuna.trial.TrialState.COMPLETE, None, now, now, {}, {}, {}, {}, {}, 0),
        values=[1.0, 2.0],
    )
    assert several.values == [1.0, 2.0]
    with pytest.raises(ValueError):
        optuna.trial.FrozenTrial(
            *(0, optuna.trial.TrialState.COMPLETE, 1.0, now, now, {}, {}, {}, {}, {}, 0),
            values=[1.0],
        )
