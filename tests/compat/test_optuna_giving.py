"""What a study is given: trials run elsewhere, and configurations to try."""

from __future__ import annotations

import math
import warnings

import pytest
from both_optunas import BOTH, quiet  # noqa: F401

import luthier.compat.optuna as door
from luthier.errors import StudyError
from luthier.study.log import read_log
from luthier.study.replay import replay


def range_of(optuna, low=0.0, high=1.0, **more):
    return {"x": optuna.distributions.FloatDistribution(low, high, **more)}


# -- trials run elsewhere ------------------------------------------------------------------------

WRONG = {
    "no value": {},
    "NaN": {"value": math.nan},
    "a text": {"value": "1.5"},
    "two values": {"value": 1.0, "values": [1.0]},
    "no distribution": {"value": 1.0, "params": {"x": 0.5}},
    "no parameter": {"value": 1.0, "distributions": range_of},
    "out of range": {"value": 1.0, "params": {"x": 5.0}, "distributions": range_of},
    "no number": {"value": 1.0, "params": {"x": "z"}, "distributions": range_of},
    "between steps": {
        "value": 1.0,
        "params": {"x": 0.3},
        "distributions": lambda optuna: range_of(optuna, step=0.5),
    },
    "no choice": {
        "value": 1.0,
        "params": {"k": "z"},
        "distributions": lambda optuna: {"k": optuna.distributions.CategoricalDistribution("ab")},
    },
    "failed with a value": {"value": 1.0, "state": "FAIL"},
}


@BOTH
@pytest.mark.parametrize("what", WRONG)
def test_what_no_trial_can_be_is_told(optuna, what):
    given = dict(WRONG[what])
    if "distributions" in given:
        given["distributions"] = given["distributions"](optuna)
    if "state" in given:
        given["state"] = optuna.trial.TrialState[given["state"]]
    with pytest.raises((ValueError, TypeError)):
        optuna.create_trial(**given)


@BOTH
def test_what_was_changed_since_is_checked_again_before_anything_is_stored(optuna):
    good = optuna.create_trial(value=1.0, params={"x": 0.5}, distributions=range_of(optuna))
    study = optuna.create_study()
    two = optuna.create_trial(values=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"2 values|objective"):
        study.add_trial(two)
    other = optuna.create_trial(value=1.0, params={"x": 0.5}, distributions=range_of(optuna))
    other.params["x"] = 5.0
    with pytest.raises(ValueError, match="5"):
        study.add_trial(other)
    assert study.trials == []
    study.add_trial(good)
    assert [t.params for t in study.trials] == [{"x": 0.5}]
    if optuna is door:  # all of them, or none
        with pytest.raises(ValueError, match="expected a value of FloatDistribution"):
            study.add_trials([good, other])
        assert len(study.trials) == 1
        assert list(study.own.space) == ["x"]


@BOTH
def test_trials_of_every_state_that_has_ended_are_added(optuna):
    study, states = optuna.create_study(), optuna.trial.TrialState
    study.add_trial(optuna.create_trial(state=states.PRUNED, intermediate_values={2: 0.25}))
    study.add_trial(optuna.create_trial(state=states.FAIL))
    study.add_trial(optuna.create_trial(value=math.inf))
    found = [t.state for t in study.trials]
    assert found == [states.PRUNED, states.FAIL, states.COMPLETE]
    assert study.trials[0].intermediate_values == {2: 0.25}
    again = optuna.create_study()
    again.add_trials(study.trials)
    assert [t.state for t in again.trials] == found


@BOTH
def test_a_waiting_trial_is_added_and_run(optuna):
    study = optuna.create_study()
    waiting = optuna.create_trial(
        state=optuna.trial.TrialState.WAITING,
        params={"x": 0.75},
        distributions=range_of(optuna),
    )
    assert waiting.datetime_start is None
    study.add_trial(waiting)
    assert study.trials[0].state.name == "WAITING"
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
    assert [t.value for t in study.trials] == [0.75]


def test_a_running_trial_belongs_to_who_runs_it():
    study = door.create_study()
    with pytest.raises(StudyError, match="Add it when it has ended"):
        study.add_trial(door.create_trial(state=door.trial.TrialState.RUNNING))
    assert study.trials == []
    with pytest.raises(StudyError, match="expected a trial"):
        study.add_trial({"x": 1})


@BOTH
def test_an_added_trial_may_have_a_wider_range(optuna):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    wide = range_of(optuna, 0.0, 10.0)
    study.add_trial(optuna.create_trial(value=9.0, params={"x": 9.0}, distributions=wide))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    assert study.trials[2].params == {"x": 9.0}
    assert all(t.params["x"] <= 1 for t in study.trials if t.number != 2)


def test_other_choices_are_not_added_under_the_same_name():
    study = door.create_study()
    kinds = door.distributions.CategoricalDistribution
    study.add_trial(
        door.create_trial(value=1.0, params={"k": "a"}, distributions={"k": kinds(["a", "b"])})
    )
    with pytest.raises(StudyError, match="with another name"):
        study.add_trial(
            door.create_trial(value=1.0, params={"k": "c"}, distributions={"k": kinds(["a", "c"])})
        )


# -- configurations to try -----------------------------------------------------------------------


@BOTH
def test_attributes_stay_with_what_is_enqueued(optuna, tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    first = optuna.create_study(study_name="s", storage=url)
    second = optuna.load_study(study_name="s", storage=url)
    second.enqueue_trial({"x": 0.5}, user_attrs={"by": "second"})
    first.enqueue_trial({"x": 0.25}, user_attrs={"by": "first"})
    second.enqueue_trial({"x": 0.5})
    second.enqueue_trial({"x": 0.5}, user_attrs={"by": "second again"})
    expected = ["second", "first", None, "second again"]
    assert [t.user_attrs.get("by") for t in first.trials] == expected
    for study in (first, first, second, first):
        study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
    for study in (first, second):
        assert [t.user_attrs.get("by") for t in study.trials] == expected
        assert [t.params["x"] for t in study.trials] == [0.5, 0.25, 0.5, 0.5]
        assert study.trials[1].system_attrs["fixed_params"] == {"x": 0.25}
    if optuna is door:
        report = replay(read_log(first.own.store, "s"), first.own.searcher, first.own.scheduler)
        assert report.difference == ""


def test_attributes_that_are_no_plain_data_stay_in_memory(tmp_path):
    class Model:
        pass

    study, model = door.create_study(), Model()
    study.enqueue_trial({"x": 0.5}, user_attrs={"model": model, "n": 1})
    assert study.trials[0].user_attrs == {"model": model, "n": 1}
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
    assert study.trials[0].user_attrs == {"model": model, "n": 1}
    other = door.create_study(storage=f"sqlite:///{tmp_path}/s.db")
    with pytest.raises(StudyError, match="'model' is a Model, which no store can hold"):
        other.enqueue_trial({"x": 0.5}, user_attrs={"model": model})
    assert other.trials == []
    with pytest.raises(StudyError, match="expected a dictionary"):
        other.enqueue_trial([0.5])


@BOTH
def test_skipping_what_exists_looks_at_the_given_parameters(optuna):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(trial):
        trial.suggest_categorical("h", [(1,), (2, 3)])
        return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.enqueue_trial({"x": 0.5})
        study.optimize(objective, n_trials=2)
        skipped = [
            {"x": 0.5},  # it was asked for, and y was drawn
            dict(study.trials[1].params),
        ]
        for params in skipped:
            study.enqueue_trial(params, skip_if_exists=True)
            assert len(study.trials) == 2
        for params in ({"x": study.trials[1].params["x"]}, {"x": 0.25}, {"x": "0.5"}):
            before = len(study.trials)
            study.enqueue_trial(params, skip_if_exists=True)
            study.enqueue_trial(params, skip_if_exists=True)
            assert len(study.trials) == before + 1
