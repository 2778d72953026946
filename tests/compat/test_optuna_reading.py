"""What is read of a study: importances, data frames, trials that have ended, NaN."""

from __future__ import annotations

import math
import warnings

import optuna as real
import pytest
from both_optunas import BOTH, quiet  # noqa: F401

import luthier.compat.optuna as door
from luthier.compat.optuna.frames import rows, table
from luthier.errors import LuthierWarning, StudyError
from luthier.search.tried import tried
from luthier.study.records import TrialState as OwnState

# -- importance ----------------------------------------------------------------------------------


def searched(optuna, trials, **more):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1), **more)

    def objective(trial):
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_user_attr("seconds", 10 * y + 0.1 * x)
        value = 10 * x + 0.1 * y
        return value if len(study.directions) == 1 else (value, 10 * y + 0.1 * x)

    study.optimize(objective, n_trials=trials)
    return study


@BOTH
@pytest.mark.parametrize("kind", ["Fanova", "MeanDecreaseImpurity", "PedAnova"])
def test_every_evaluator_finds_what_matters(optuna, kind):
    evaluator = getattr(optuna.importance, f"{kind}ImportanceEvaluator")()
    get = optuna.importance.get_param_importances
    study = searched(optuna, 40)
    shares = get(study, evaluator=evaluator)
    assert list(shares) == ["x", "y"]
    assert shares["x"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    by = get(study, evaluator=evaluator, target=lambda t: t.user_attrs["seconds"])
    assert list(by) == ["y", "x"]
    assert by["y"] > 0.8
    assert get(study, evaluator=evaluator, params=["y"]) == {"y": pytest.approx(1)}
    assert get(study, evaluator=evaluator, params=[]) == {}
    for wrong in ({"params": ["z"]}, {"evaluator": "fanova"}, {"evaluator": type(evaluator)}):
        with pytest.raises((ValueError, TypeError)):
            get(study, **{"evaluator": evaluator} | wrong)


def test_what_is_not_normalized_is_the_share_of_the_variance():
    study = searched(door, 40)
    shares = door.importance.get_param_importances(study, normalize=False)
    assert 0.8 < shares["x"] < sum(shares.values()) < 1
    with pytest.raises(
        StudyError, match=r"has 'X', which no completed trial has: .*Did you mean 'x'"
    ):
        door.importance.get_param_importances(study, params=["X"])


@BOTH
def test_an_objective_of_several_is_looked_at_by_target(optuna):
    study = searched(optuna, 30, directions=["minimize", "maximize"])
    get, evaluator = (
        optuna.importance.get_param_importances,
        optuna.importance.FanovaImportanceEvaluator(),
    )
    assert next(iter(get(study, evaluator=evaluator, target=lambda t: t.values[1]))) == "y"
    assert next(iter(get(study, evaluator=evaluator, target=lambda t: t.values[0]))) == "x"


def test_few_trials_say_little_and_none_say_nothing():
    for trials in (1, 2, 5):
        study = searched(door, trials)
        with pytest.warns(LuthierWarning, match=f"Importance from {trials} trial"):
            shares = door.importance.get_param_importances(study)
        assert shares.keys() == {"x", "y"}
        assert sum(shares.values()) == pytest.approx(1)
    with pytest.raises(StudyError, match="no trial has completed"):
        door.importance.get_param_importances(door.create_study())


# -- data frames ---------------------------------------------------------------------------------

ATTRIBUTES = (
    *("number", "value", "duration", "params", "user_attrs", "system_attrs", "state"),
    *("intermediate_values", "values", "last_step"),
)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_the_columns_are_optunas(several, named):
    from optuna.study._dataframe import _create_records_and_aggregate_column as columns_of

    found = []
    for optuna in (door, real):
        study = optuna.create_study(directions=["minimize"] * (1 + several))
        if named:
            study.set_metric_names(["loss", "a size"][: 1 + several])
        study.enqueue_trial({"b": 0.5, "a": 1})

        def objective(trial, several=several):
            trial.suggest_float("b", 0, 1)
            if trial.number == 0:
                trial.suggest_int("a", 1, 2)
            trial.set_user_attr("memo", "x")
            if trial.number == 2:
                raise KeyError
            if not several:
                trial.report(0.5, 3)
            return (1.0, 2.0)[: 1 + several]

        study.optimize(objective, n_trials=3, catch=KeyError)
        found.append(study)
    attributes = tuple("values" if a == "value" and several else a for a in ATTRIBUTES)
    records, columns = columns_of(found[1], tuple(dict.fromkeys(attributes)))
    ours, of = table(found[0], tuple(dict.fromkeys(attributes)))
    assert ours == columns
    for a, b in zip(of, records, strict=True):
        assert a.keys() == b.keys()
        for column in a:
            if column[0] != "duration" and column != ("params", "b"):
                assert a[column] == b[column], column


def test_rows_have_their_names_in_one_and_unknown_attributes_are_told():
    study = door.create_study(directions=["minimize", "maximize"])
    study.set_metric_names(["loss", "speed"])
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), 2.0), n_trials=1)
    assert rows(study, ("value", "params"))[0].keys() == {"values_loss", "values_speed", "params_x"}
    with pytest.raises(StudyError, match=r"has no 'param': .*Did you mean 'params'"):
        table(study, ("param",))


# -- trials that have ended ----------------------------------------------------------------------


@BOTH
def test_a_trial_that_has_ended_is_not_changed(optuna):
    study = optuna.create_study()
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    study.tell(trial, 1.0)
    for change in (
        lambda: trial.report(1.0, 1),
        lambda: trial.suggest_float("z", 0, 1),
        lambda: trial.set_user_attr("a", 1),
        lambda: trial.set_constraint("a", 1.0),
    ):
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            change()
    assert trial.suggest_float("x", 0, 1) == x
    assert study.trials[0].user_attrs == {}


@BOTH
def test_trials_are_sorted_by_number_and_states_have_names(optuna):
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=3)
    backwards = study.trials[::-1]
    assert [t.number for t in sorted(backwards)] == [0, 1, 2]
    assert study.trials[0] < study.trials[1] <= study.trials[2] > study.trials[0]
    with pytest.raises(TypeError):
        _ = study.trials[0] < 3
    assert str(study.trials[0].state) == f"{study.trials[0].state}" == "TrialState.COMPLETE"
    if optuna is door:
        assert len(set(study.trials) | set(study.trials)) == 3


@BOTH
def test_nan_is_a_failed_trial(optuna):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(lambda t: math.nan if t.suggest_float("x", 0, 1) > 0.5 else 0.0, n_trials=12)
    states = [t.state.name for t in study.trials]
    assert set(states) == {"COMPLETE", "FAIL"}
    assert all((t.params["x"] > 0.5) == (t.state.name == "FAIL") for t in study.trials)
    assert all(t.values is None for t in study.trials if t.state.name == "FAIL")


@pytest.mark.parametrize("several", [False, True])
def test_to_the_searcher_nan_has_diverged(several):
    directions = ["minimize"] * (1 + several)
    study = door.create_study(sampler=door.samplers.RandomSampler(seed=1), directions=directions)
    values = [1.0, 1.0, math.nan, 1.0]

    def objective(trial):
        trial.suggest_float("x", 0, 1)
        return [1.0, values[trial.number]] if several else values[trial.number]

    with pytest.warns(LuthierWarning, match="no number"):
        study.optimize(objective, n_trials=4)
    states = [t.state for t in study.own.history.trials]
    assert states[2] is OwnState.DIVERGED
    assert study.trials[2].state.name == "FAIL"
    assert study.trials[2].values is None
    found = tried(study.own.history)
    assert len(found.losses) == 4  # and not the three that completed alone
    assert math.isinf(found.losses[2])
