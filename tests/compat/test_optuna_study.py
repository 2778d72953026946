"""What Optuna's own tests ask of studies and trials, asked of the door and of Optuna alike."""

from __future__ import annotations

import math
import multiprocessing
import pickle
import warnings

import optuna as real
import pytest

import luthier.compat.optuna as door


@pytest.fixture(params=[door, real], ids=["door", "optuna"])
def optuna(request):
    before = request.param.logging.get_verbosity()
    request.param.logging.set_verbosity(request.param.logging.ERROR)
    yield request.param
    request.param.logging.set_verbosity(before)


@pytest.fixture
def file(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


def test_what_is_read_are_copies(optuna):
    study = optuna.create_study(directions=["minimize", "maximize"])
    trial = study.ask()
    trial.suggest_int("x", 1, 1)
    trial.set_user_attr("sizes", [1])
    study.tell(trial, [1.0, 2.0])
    for found in (study.trials[0], study.best_trials[0]):
        found.params["x"] = 9
        found.user_attrs["sizes"].append(2)
    assert study.trials[0].params == {"x": 1}
    assert study.trials[0].user_attrs == {"sizes": [1]}
    assert study.get_trials(deepcopy=False) == study.trials


def test_a_memory_study_is_pickled_with_what_it_holds(optuna):
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=4)
    again = pickle.loads(pickle.dumps(study))
    assert again.best_params == study.best_params
    assert type(again.pruner) is type(study.pruner)
    again.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    assert (len(again.trials), len(study.trials)) == (6, 4)


def test_a_trial_is_told_of_from_another_process(file):
    study = door.create_study(storage=file)
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 3)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        told = pool.apply(_tell, (study, trial, x))
        with pytest.raises(RuntimeError, match="ended already"):
            pool.apply(_tell, (study, trial, x))
    assert told.params == study.best_params == {"x": x}
    assert told.intermediate_values == study.best_trial.intermediate_values == {3: 0.5}


def _tell(study, trial, value):
    return study.tell(trial, value)


def test_what_is_not_there_is_a_key_error(optuna, file):
    optuna.create_study(storage=file, study_name="digits")
    with pytest.raises(KeyError):
        optuna.load_study(study_name="digit", storage=file)
    with pytest.raises(ValueError):
        optuna.create_study(directions=[])


def test_summaries_tell_when_a_study_began(optuna, file):
    study = optuna.create_study(storage=file)
    study.enqueue_trial({"x": 1})
    assert optuna.get_all_study_summaries(file)[0].datetime_start is None
    study.optimize(lambda t: t.suggest_int("x", 0, 3), n_trials=2)
    began = optuna.get_all_study_summaries(file)[0].datetime_start
    assert began == study.trials[0].datetime_start


def test_what_is_no_value_fails_the_trial_and_says_so(optuna):
    study = optuna.create_study(directions=["minimize", "maximize"])
    for values in (None, [None, 1.0], [1.0, math.nan]):
        with pytest.warns(UserWarning, match="value"):
            study.tell(study.ask(), values)
        assert study.trials[-1].state.name == "FAIL"
        assert study.trials[-1].values is None
    state = optuna.trial.TrialState
    for values, told in (([math.nan, 1.0], state.COMPLETE), ([1.0, 1.0], state.PRUNED)):
        with pytest.raises(ValueError):
            study.tell(study.ask(), values, told)


def test_reports_that_cannot_be(optuna):
    trial = optuna.create_study().ask()
    trial.report(1.0, 1)
    with pytest.warns(UserWarning, match="ignored"):
        trial.report(2.0, 1)
    with pytest.raises(TypeError):
        trial.report("low", 2)
    several = optuna.create_study(directions=["minimize", "minimize"]).ask()
    with pytest.raises(NotImplementedError):
        several.report(1.0, 1)
    with pytest.raises(NotImplementedError):
        several.should_prune()


def test_a_range_that_does_not_end_at_a_step_is_told(optuna):
    trial = optuna.create_study().ask()
    with pytest.warns(UserWarning, match="range"):
        trial.suggest_int("i", 1, 11, step=3)
    with pytest.warns(UserWarning, match="range"):
        trial.suggest_float("f", 0, 3.45, step=0.1)
    assert (trial.distributions["i"].high, trial.distributions["f"].high) == (10, 3.4)


def test_the_older_distributions(optuna):
    known = optuna.distributions
    real_number, whole = known.FloatDistribution, known.IntDistribution
    for word, given, newer in (
        ("UniformDistribution", {"low": 0, "high": 1}, real_number(0, 1)),
        ("LogUniformDistribution", {"low": 1, "high": 10}, real_number(1, 10, log=True)),
        ("DiscreteUniformDistribution", {"low": 0, "high": 10, "q": 2}, real_number(0, 10, step=2)),
        ("IntUniformDistribution", {"low": 0, "high": 10, "step": 2}, whole(0, 10, step=2)),
        ("IntLogUniformDistribution", {"low": 1, "high": 10}, whole(1, 10, log=True)),
    ):
        with pytest.warns(FutureWarning):
            older = getattr(known, word)(**given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            trial = optuna.create_study().ask({"x": older})
        assert trial.distributions == {"x": newer}


def test_a_trial_has_what_it_suggested_and_no_more(optuna):
    def objective(trial):
        if trial.suggest_categorical("kind", ["svc", "forest"]) == "svc":
            return trial.suggest_float("c", 0, 1)
        return trial.suggest_int("depth", 2, 32)

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=12)
    of = {"svc": {"kind", "c"}, "forest": {"kind", "depth"}}
    assert {t.params["kind"] for t in study.trials} == of.keys()
    assert all(t.params.keys() == of[t.params["kind"]] for t in study.trials)
