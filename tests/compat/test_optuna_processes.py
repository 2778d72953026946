"""Trials that go from hand to hand: other processes, threads, runs that were cut short, failures in a row."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import pytest
from both_optunas import BOTH, quiet  # noqa: F401

import luthier.compat.optuna as door
from luthier.errors import LuthierWarning
from luthier.study.log import read_log
from luthier.study.replay import replay

MODULE = (
    "luthier.compat.optuna"  # with "optuna" it is the same, but for the trial that is run again
)


def elsewhere(script):
    """Run *script* in a process of its own, which has ended when this returns; return what it printed."""
    text = f"import os, {MODULE} as optuna\noptuna.logging.set_verbosity(optuna.logging.ERROR)\n"
    command = [sys.executable, "-W", "ignore", "-c", text + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 9), done.stderr
    return done.stdout.split()


def replayed(study):
    """Return where the log says something else than what is derived from it again."""
    own = study.own
    return replay(read_log(own.store, own.name), own.searcher, own.scheduler).difference


# -- ask here, tell there --------------------------------------------------------------------------


def test_trials_are_told_of_by_number_by_whoever_comes(tmp_path):
    where = f"study_name='s', storage='sqlite:///{tmp_path}/study.db'"
    asked = elsewhere(
        f"""
        study = optuna.create_study({where}, sampler=optuna.samplers.RandomSampler(seed=1))
        study.enqueue_trial({{"x": 0.25, "layers": 3}})
        for _ in range(2):
            trial = study.ask({{"x": optuna.distributions.FloatDistribution(0, 1)}})
            print(trial.number, trial.params["x"], trial.suggest_int("layers", 1, 4))
        """,
    )
    # Another one asks in the meantime, and is given a trial of its own.
    third = elsewhere(f"print(optuna.load_study({where}).ask().number)")
    assert third == ["2"]
    told = elsewhere(
        f"""
        study = optuna.load_study({where})
        print(*[t.state.name for t in study.trials])
        for number in (1, 0):
            told = study.tell(number, float(number))
            print(told.number, told.params["x"], told.params["layers"], len(told.distributions))
        """,
    )
    assert told[:3] == ["RUNNING"] * 3
    assert told[3:] == [*asked[3:], "2", *asked[:3], "2"]
    assert asked[:3] == ["0", "0.25", "3"]


def test_what_was_asked_for_by_hand_is_replayed(tmp_path):
    study = door.create_study(storage=f"sqlite:///{tmp_path}/study.db", study_name="s")
    for number in range(4):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        other = door.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
        assert other.trials[number].params == {"x": x}
        trial.suggest_categorical("kind", ["a", "b"])
        assert other.trials[number].params == trial.params
        other.tell(number, x)
    assert [t.values for t in study.trials] == [[t.params["x"]] for t in study.trials]
    assert replayed(study) == ""


@BOTH
def test_what_another_one_was_told_of_is_not_changed_any_more(optuna, tmp_path):
    where = {"study_name": "s", "storage": f"sqlite:///{tmp_path}/study.db"}
    study = optuna.create_study(**where)
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    optuna.load_study(**where).tell(trial.number, 1.0)
    for change in (
        lambda: trial.suggest_float("y", 0, 1),
        lambda: trial.report(0.5, 1),
        lambda: trial.set_user_attr("memo", 1),
    ):
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            change()
    (told,) = study.trials
    assert (told.params, told.intermediate_values, told.user_attrs) == ({"x": x}, {}, {})


def test_a_grid_does_not_wait_for_what_was_asked_for_by_hand():
    study = door.create_study(sampler=door.samplers.GridSampler({"x": [1, 2, 3]}))
    trial = study.ask()
    study.optimize(lambda t: t.suggest_int("x", 1, 3), n_trials=5)
    assert [t.state.name for t in study.trials] == ["RUNNING", "COMPLETE", "COMPLETE"]
    study.tell(trial, 1.0)


# -- run again -------------------------------------------------------------------------------------


def test_a_trial_that_is_run_again_is_judged_by_its_second_run(tmp_path):
    where = f"study_name='s', storage='sqlite:///{tmp_path}/study.db'"
    elsewhere(
        f"""
        study = optuna.create_study({where}, pruner=optuna.pruners.SuccessiveHalvingPruner(1))
        study.enqueue_trial({{"x": 0.5, "y": 0.25}}, user_attrs={{"memo": "first"}})

        def objective(trial):
            trial.suggest_float("x", 0, 1)
            for step in range(5):
                trial.report(100.0, step)
                trial.should_prune()
            trial.set_constraint("memory", 1.0)
            os._exit(9)

        study.optimize(objective, n_trials=1)
        """,
    )
    pruner = door.pruners.SuccessiveHalvingPruner(1)
    study = door.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db", pruner=pruner)
    before = study.trials[0]
    assert (len(before.intermediate_values), before.constraints) == (5, {"memory": 1.0})
    assert "completed_rung_1" in before.system_attrs

    def objective(trial):
        assert trial.number == 0
        at = study.trials[0]
        assert (at.intermediate_values, at.constraints) == ({}, {})
        assert at.system_attrs.keys() == {"fixed_params"}
        trial.report(1.0, 1)
        assert not trial.should_prune()
        return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)

    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert (trial.value, trial.params) == (0.75, {"x": 0.5, "y": 0.25})
    assert (trial.intermediate_values, trial.user_attrs) == ({1: 1.0}, {"memo": "first"})
    assert trial.system_attrs["completed_rung_0"] == 1.0
    assert "completed_rung_1" not in trial.system_attrs
    assert replayed(study) == ""


def test_a_waiting_trial_keeps_what_it_came_with():
    study = door.create_study()
    study.add_trial(door.create_trial(state=door.TrialState.WAITING, intermediate_values={0: 1.0}))
    study.optimize(lambda trial: 2.0, n_trials=1)
    assert study.trials[0].intermediate_values == {0: 1.0}


@BOTH
def test_a_trial_that_was_interrupted_has_failed(optuna):
    study, pressed = optuna.create_study(), [True]

    def objective(trial):
        trial.suggest_float("x", 0, 1)
        if pressed and pressed.pop():
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=3)
    study.optimize(objective, n_trials=2)
    assert [t.state.name for t in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[0].params.keys() == {"x"}


# -- failures in a row -----------------------------------------------------------------------------


@BOTH
def test_a_study_goes_on_after_many_failures(optuna, tmp_path):
    study = optuna.create_study(
        study_name="s",
        storage=f"sqlite:///{tmp_path}/study.db",
        sampler=optuna.samplers.RandomSampler(seed=1),
    )

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        if trial.number < 54:
            raise ValueError("the data are not there yet")
        return x

    study.optimize(objective, n_trials=52, catch=ValueError)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/study.db")
    study.optimize(objective, n_trials=3, catch=ValueError)
    study.tell(study.ask(), 1.0)
    states = [t.state.name for t in study.trials]
    assert states == ["FAIL"] * 54 + ["COMPLETE"] * 2
    assert len({t.params["x"] for t in study.trials[:55]}) == 55
    if optuna is door:
        assert not study.own.leased
        assert replayed(study) == ""


# -- threads of one's own --------------------------------------------------------------------------


def in_threads(*calls):
    """Call each in a thread of its own, and return what they raised."""
    raised = []

    def guarded(call):
        try:
            call()
        except BaseException as error:
            raised.append(type(error))

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@BOTH
def test_several_threads_may_optimize_one_study(optuna):
    study, together = optuna.create_study(), threading.Barrier(3)

    def objective(trial):
        if trial.number < 3:
            together.wait(30)
        return trial.suggest_float("x", 0, 1)

    assert in_threads(*[lambda: study.optimize(objective, n_trials=4)] * 3) == []
    assert sorted(t.number for t in study.trials) == list(range(12))
    assert {t.state.name for t in study.trials} == {"COMPLETE"}


@BOTH
def test_what_one_thread_raises_ends_no_other_ones_call(optuna):
    study, together = optuna.create_study(), threading.Barrier(2)

    def failing(trial):
        together.wait(30)
        raise KeyError

    def objective(trial):
        if trial.number < 2:
            together.wait(30)
        return 1.0

    raised = in_threads(
        lambda: study.optimize(failing, n_trials=5), lambda: study.optimize(objective, n_trials=5)
    )
    assert raised == [KeyError]
    assert [t.state.name for t in study.trials].count("COMPLETE") == 5


@BOTH
def test_an_objective_cannot_optimize_its_own_study(optuna):
    study, raised = optuna.create_study(), []

    def objective(trial):
        try:
            study.optimize(lambda t: 1.0, n_trials=1)
        except RuntimeError as error:
            raised.append(error)
        return 1.0

    study.optimize(objective, n_trials=2)
    study.optimize(objective, n_trials=4, n_jobs=2)
    assert len(study.trials) == len(raised) == 6


@BOTH
def test_stop_ends_the_calls_of_all_threads(optuna):
    study, together = optuna.create_study(), threading.Barrier(2)

    def objective(trial):
        if trial.number < 2:
            together.wait(30)
        if trial.number == 5:
            study.stop()
        return 1.0

    assert in_threads(*[lambda: study.optimize(objective, n_trials=500)] * 2) == []
    assert len(study.trials) < 20
    study.optimize(objective, n_trials=2)
    assert len(study.trials) > 7
    with pytest.raises(RuntimeError):
        study.stop()


# -- the sampler of a study ------------------------------------------------------------------------


def test_another_sampler_is_told_that_it_is_not_used():
    study = door.create_study(sampler=door.samplers.RandomSampler(seed=1))
    with pytest.warns(LuthierWarning, match=r"keeps the sampler .*RandomSampler") as found:
        study.sampler = door.samplers.CmaEsSampler()
    assert found[0].filename == __file__
    assert isinstance(study.sampler, door.samplers.RandomSampler)
    with pytest.raises(TypeError, match=r"expected an object of it, TPESampler\(\)"):
        study.sampler = door.samplers.TPESampler


@BOTH
def test_what_is_fixed_holds_but_for_what_was_asked_for(optuna):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.sampler = optuna.samplers.PartialFixedSampler({"x": 0.5}, study.sampler)
    study.enqueue_trial({"x": 0.25})
    study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_float("y", 0, 1), n_trials=3)
    assert [t.params["x"] for t in study.trials] == [0.25, 0.5, 0.5]
