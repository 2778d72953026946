"""The words of Optuna: what they answer is what Optuna answers."""

from __future__ import annotations

import math
import warnings

import optuna as real
import pytest
from both_optunas import BOTH, quiet  # noqa: F401
from click.testing import CliRunner

import luthier.compat.optuna as door
from luthier.app.command import commands
from luthier.errors import LuthierError, LuthierWarning, SpaceError, StorageError, StudyError
from luthier.study.log import read_log
from luthier.study.replay import replay


@BOTH
def test_every_suggestion_gives_a_value_of_its_range(optuna):
    def objective(trial):
        values = {
            "f": trial.suggest_float("f", -1, 2),
            "log": trial.suggest_float("log", 1e-5, 1e-1, log=True),
            "step": trial.suggest_float("step", 0, 1, step=0.3),  # to 0.9
            "i": trial.suggest_int("i", 3, 10, step=4),  # 3 or 7
            "ilog": trial.suggest_int("ilog", 1, 100, log=True),
            "one": trial.suggest_float("one", 2.5, 2.5),
            "c": trial.suggest_categorical("c", ["a", 2, None, True, 0.5]),
        }
        assert trial.suggest_float("f", -1, 2) == values["f"]
        assert trial.params == values
        return values["f"]

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(objective, n_trials=30)
    for name, allowed in {
        "step": [0.0, 0.3, 0.6, 0.9],
        "i": [3, 7],
        "one": [2.5],
        "c": ["a", 2, None, True, 0.5],
    }.items():
        found = [t.params[name] for t in study.trials]
        if name == "step":
            found = [round(v, 9) for v in found]
        assert {repr(v) for v in found} == {repr(v) for v in allowed}
    for t in study.trials:
        assert -1 <= t.params["f"] <= 2
        assert 1e-5 <= t.params["log"] <= 1e-1
        assert 1 <= t.params["ilog"] <= 100
        assert [type(t.params[k]) for k in ("f", "i", "ilog")] == [float, int, int]
    ours = study.trials[0].distributions
    assert (ours["f"].low, ours["f"].high, ours["f"].log, ours["f"].step) == (-1, 2, False, None)
    assert (ours["i"].low, ours["i"].high, ours["i"].step) == (3, 7, 4)


@BOTH
def test_names_with_dots_are_names(optuna):
    def objective(trial):
        if trial.number % 2:
            return trial.suggest_float("lr", 0, 1) - trial.suggest_float("net.lr", 0, 1)
        return trial.suggest_float("net.lr", 0, 1) - trial.suggest_float("lr", 0, 1)

    study = optuna.create_study()
    study.optimize(objective, n_trials=8)
    assert all(t.params["net.lr"] != t.params["lr"] for t in study.trials)
    assert all(t.params.keys() == {"net.lr", "lr"} for t in study.trials)


@BOTH
def test_ranges_may_change_from_trial_to_trial(optuna):
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1 + t.number % 3), n_trials=9)
    assert all(0 <= t.params["x"] <= 1 + t.number % 3 for t in study.trials)


@BOTH
def test_pruned_and_failed_trials(optuna):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            trial.report(7.5, 3)
            trial.report(9.5, 4)
            trial.report(1.0, 3)  # the first report of a step counts
            raise optuna.TrialPruned()
        if trial.number == 2:
            raise KeyError("a bug")
        return {3: math.nan, 4: math.inf}.get(trial.number, x)

    study = optuna.create_study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.optimize(objective, n_trials=6, catch=(KeyError,))
        with pytest.raises(ValueError, match="another"):
            study.optimize(lambda t: int("another"), n_trials=3)
    states = [t.state.name for t in study.trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "COMPLETE", "COMPLETE", "FAIL"]
    assert study.trials[1].intermediate_values == {3: 7.5, 4: 9.5}
    assert study.trials[1].value == 9.5
    assert study.trials[2].values is None
    assert study.trials[4].value == math.inf
    assert study.best_trial.number in (0, 5)


@BOTH
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_should_prune_by_the_median(optuna, direction):
    sign = 1 if direction == "minimize" else -1
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2, interval_steps=2)
    study = optuna.create_study(direction=direction, pruner=pruner)
    for level in (1, 2, 3, 4):
        trial = study.ask()
        for step in range(6):
            trial.report(sign * level, step)
            assert not trial.should_prune()
        study.tell(trial, sign * level)
    pruned = []
    trial = study.ask()
    for step in range(6):
        trial.report(sign * 10, step)
        pruned.append(trial.should_prune())
    assert pruned == [False, False, True, False, True, False]
    good = study.ask()
    good.report(0, 4)
    assert not good.should_prune()


@BOTH
def test_other_pruners(optuna):
    def verdicts(pruner, before, curve):
        study = optuna.create_study(pruner=pruner)
        for values in before:
            trial = study.ask()
            for step, value in enumerate(values):
                trial.report(value, step)
                trial.should_prune()  # Optuna's halving remembers who asked
            study.tell(trial, values[-1])
        trial, found = study.ask(), []
        for step, value in enumerate(curve):
            trial.report(value, step)
            found.append(trial.should_prune())
        return found

    p = optuna.pruners
    assert verdicts(p.NopPruner(), [[1, 1]] * 9, [5, 5]) == [False, False]
    assert verdicts(p.ThresholdPruner(upper=2.0), [], [1, 3, 2]) == [False, True, False]
    falling = [[1, 0.9, 0.8, 0.7, 0.6]]
    patient = p.PatientPruner(None, patience=1)
    assert verdicts(patient, falling, [3, 2, 2.5, 2.6, 2.7])[-1]
    assert not any(verdicts(patient, falling, [3, 2.5, 2, 1.5, 1]))
    keen = p.PercentilePruner(25.0, n_startup_trials=3)
    levels = [[level] * 4 for level in (1, 2, 3, 4, 5)]
    assert verdicts(keen, levels, [2.5, 2.5]) == [True, True]
    assert verdicts(p.PercentilePruner(75.0, n_startup_trials=3), levels, [2.5]) == [False]
    halving = p.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    assert any(verdicts(halving, levels, [9, 9, 9, 9]))
    assert not any(verdicts(halving, levels, [0, 0, 0, 0]))
    instances = [[1.0, 5.0, 3.0, 8.0, 2.0, 6.0, 4.0, 7.0]]
    worse = [v + 1 + i / 10 for i, v in enumerate(instances[0])]
    wilcoxon = p.WilcoxonPruner(p_threshold=0.05)
    assert verdicts(wilcoxon, instances, worse)[-1]
    assert not any(verdicts(wilcoxon, instances, [v - 1 for v in instances[0]]))


@BOTH
def test_ask_and_tell(optuna):
    study = optuna.create_study(directions=["maximize", "minimize"])
    for a, b in ((1.0, 1.0), (2.0, 2.0), (0.5, 3.0), (3.0, 1.5)):
        trial = study.ask()
        trial.suggest_int("n", 1, 8)
        told = study.tell(trial, (a, b))
        assert told.values == [a, b]
    assert sorted(t.values for t in study.best_trials) == [[1.0, 1.0], [3.0, 1.5]]
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.tell(trial, (1.0, 2.0), skip_if_finished=True).values == [3.0, 1.5]
    another = study.ask()
    for wrong in (
        lambda: study.best_trial,
        lambda: study.tell(trial, (1.0, 2.0)),
        lambda: study.tell(99, (1.0, 2.0)),
        lambda: study.tell(another, 1.0, state=optuna.trial.TrialState.COMPLETE),
    ):
        with pytest.raises((ValueError, RuntimeError)):
            wrong()


@BOTH
def test_attributes_queue_and_callbacks(optuna):
    seen = []

    def stop_at_four(study, trial):
        seen.append((trial.number, trial.state.name))
        if trial.number == 3:
            study.stop()

    study = optuna.create_study()
    study.set_user_attr("data", {"name": "digits", "sizes": [1, 2]})
    study.enqueue_trial({"x": 0.25}, user_attrs={"memo": "mine"})
    study.enqueue_trial({"x": 0.25}, skip_if_exists=True)
    assert [t.state.name for t in study.trials] == ["WAITING"]

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("square", x * x)
        assert trial.user_attrs["square"] == x * x
        return x

    study.optimize(objective, n_trials=9, callbacks=[stop_at_four])
    assert seen == [(n, "COMPLETE") for n in range(4)]
    assert study.user_attrs == {"data": {"name": "digits", "sizes": [1, 2]}}
    assert study.trials[0].user_attrs == {"memo": "mine", "square": 0.0625}
    assert study.trials[0].params == {"x": 0.25}
    with pytest.raises(RuntimeError):
        study.stop()


@BOTH
def test_grid(optuna):
    grid = {"x": [-50, 0, 50], "y": [-99, 99]}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(grid))
    study.optimize(
        lambda t: t.suggest_float("x", -100, 100) + t.suggest_int("y", -100, 100), n_trials=50
    )
    found = sorted((t.params["x"], t.params["y"]) for t in study.trials)
    assert found == [(x, y) for x in (-50, 0, 50) for y in (-99, 99)]


def test_a_point_of_a_grid_that_is_asked_for_again_is_derived_again(tmp_path):
    sampler = door.samplers.GridSampler({"x": [1, 2]})
    study = door.create_study(study_name="g", storage=f"sqlite:///{tmp_path}/g.db", sampler=sampler)
    study.optimize(lambda t: t.suggest_int("x", 1, 2), n_trials=9)
    with pytest.warns(LuthierWarning):
        trial = study.ask()
    study.tell(trial, trial.suggest_int("x", 1, 2))
    assert len(study.trials) == 3
    said = CliRunner().invoke(commands, ["replay", "g", "--storage", f"{tmp_path}/g.db"])
    assert (said.exit_code, "3 proposals" in said.output) == (0, True), said.output


@BOTH
def test_threads(optuna):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=20, n_jobs=4)
    assert [t.number for t in study.trials] == list(range(20))
    assert len({t.params["x"] for t in study.trials}) == 20


def test_all_samplers_search():
    fixed = door.samplers.PartialFixedSampler({"y": 3}, door.samplers.TPESampler(seed=4))
    samplers = [
        door.samplers.TPESampler(multivariate=True, n_startup_trials=4),
        door.samplers.GPSampler(seed=2),
        door.samplers.CmaEsSampler(),
        door.samplers.NSGAIISampler(population_size=8),
        door.samplers.QMCSampler(seed=1),
        fixed,
    ]
    for sampler in samplers:
        study = door.create_study(sampler=sampler)
        study.optimize(lambda t: t.suggest_float("x", 0, 1) + t.suggest_int("y", 1, 8), n_trials=6)
        assert len(study.trials) == 6
    assert {t.params["y"] for t in study.trials} == {3}
    study = door.create_study(sampler=door.samplers.BruteForceSampler())
    study.optimize(
        lambda t: t.suggest_int("a", 0, 2) * t.suggest_categorical("b", [1, -1]), n_trials=99
    )
    assert len({tuple(t.params.items()) for t in study.trials}) == 6


def test_what_the_door_does_not_have_says_so(tmp_path):
    class Mine(door.samplers.BaseSampler):
        pass

    for call, words in (
        (lambda: door.create_study(sampler=Mine()), "Mine is a sampler of your own"),
        (lambda: door.samplers.TPESampler(constraints_func=len), "constraints_func"),
        (lambda: door.create_study(direction="up"), "expected 'minimize' or 'maximize'"),
        (lambda: door.create_study(storage="mysql://x/y"), "expected an SQLite file"),
        (lambda: door.load_study(study_name="x", storage=f"sqlite:///{tmp_path}/n.db"), "no study"),
        (lambda: door.visualization, "no 'visualization'"),
    ):
        with pytest.raises((LuthierError, AttributeError), match=words):
            call()
    study = door.create_study()
    with pytest.raises(SpaceError, match=r"did you mean \(1.0, 2.0\)"):
        study.optimize(lambda t: t.suggest_float("x", 2, 1), n_trials=1)
    with pytest.raises(StudyError, match="expected numbers, got 'low'"):
        study.optimize(lambda t: "low", n_trials=1)
    study.enqueue_trial({"x": 20})
    with pytest.warns(LuthierWarning, match="x=20 was asked for"):
        study.optimize(lambda t: t.suggest_float("x", 1, 2), n_trials=1)


def test_optunas_own_file_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/o.db"
    real.create_study(storage=url)
    with pytest.raises(StorageError, match="luthier import optuna sqlite:///"):
        door.create_study(storage=url)


def test_objects_are_kept_in_memory_alone(tmp_path):
    choices = [[1, 2], {"a": 1}]
    study = door.create_study()
    study.optimize(lambda t: len(t.suggest_categorical("c", choices)), n_trials=8)
    assert {t.value for t in study.trials} == {1.0, 2.0}
    trial = study.ask()
    trial.set_user_attr("model", object())
    assert type(study.trials[trial.number].user_attrs["model"]) is object
    other = door.create_study(storage=f"sqlite:///{tmp_path}/x.db").ask()
    with pytest.raises(StudyError, match="'model' is a object, which no store"):
        other.set_user_attr("model", object())


def test_two_processes_views_of_one_study_and_its_replay(tmp_path):
    url = f"sqlite:///{tmp_path}/two.db"
    a = door.create_study(study_name="s", storage=url, sampler=door.samplers.TPESampler(seed=5))
    with pytest.raises(door.exceptions.DuplicatedStudyError, match="load_if_exists"):
        door.create_study(study_name="s", storage=url)
    b = door.load_study(study_name="s", storage=url)

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        for step in range(4):
            trial.report(x + 1 / (step + 1), step)
            if trial.should_prune():
                raise door.TrialPruned()
        return x

    for study in (a, b, a, b):
        study.optimize(objective, n_trials=4)
    assert len(a.trials) == len(b.trials) == 16
    assert a.best_value == b.best_value
    assert [t.intermediate_values for t in a.trials] == [t.intermediate_values for t in b.trials]
    report = replay(read_log(a.own.store, "s"), a.own.searcher, a.own.scheduler)
    assert report.difference == ""
    assert report.proposals == 16


def test_importance_and_rows():
    study = door.create_study(sampler=door.samplers.RandomSampler(seed=1))
    study.optimize(
        lambda t: 10 * t.suggest_float("x", 0, 1) + 0.1 * t.suggest_float("y", 0, 1), n_trials=30
    )
    shares = door.importance.get_param_importances(study)
    assert list(shares) == ["x", "y"]
    assert shares["x"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    from luthier.compat.optuna.frames import rows

    first = rows(study)[0]
    assert first["params_x"] == study.trials[0].params["x"]
    assert first["state"] == "COMPLETE"


def test_a_name_asked_for_as_something_else_is_told():
    study = door.create_study()
    trial = study.ask()
    assert trial.suggest_float("x", 0, 1) == trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    with pytest.warns(LuthierWarning, match="'x' from"):
        assert trial.suggest_float("x", 2, 3) <= 1
    for asked in (trial, study.ask()):
        with pytest.raises(StudyError, match="another name"):
            asked.suggest_int("x", 0, 1)
        with pytest.raises(StudyError, match="another name"):
            asked.suggest_categorical("kind", ["a", "c"])
    study.tell(trial, 1.0)
    with pytest.raises(RuntimeError, match="ended already"):
        study.tell(trial, 1.0)
    with pytest.raises(TypeError, match="a trial or its number"):
        study.tell("1", 1.0)
