"""What ``tune`` says and refuses."""

from __future__ import annotations

import re

import pytest

import luthier as lt
from luthier.errors import StudyError
from luthier.run.ray_engine import RayEngine

SPACE = lt.Space(rate=lt.Float(1e-4, 1e-1, scale="log"))


class Nothing:
    def save(self, folder):
        pass

    restore = save


def train(trial):
    for epoch in trial.epochs(Nothing()):
        trial.report(loss=trial["rate"] / (epoch + 1))


def tune(tmp_path, **options):
    options = {"minimize": "loss", "name": "s", "storage": tmp_path / "l.db", **options}
    return lt.tune(options.pop("train", train), options.pop("space", SPACE), **options)


def test_the_plan_comes_first_and_is_exact(tmp_path, capfd):
    result = tune(tmp_path, epochs=9, scheduler="hyperband")
    said = capfd.readouterr()
    assert said.out == ""
    assert "\x1b" not in said.err
    lines = said.err.splitlines()
    assert "quasi-random: the first" in lines[2]
    assert "plan: 17 trials, 69 epochs, in 3 brackets" in lines[3]
    assert "bracket s=2: 9 trials to epoch 1, 3 to 3, 1 to 9 = 21 epochs" in lines[4]
    ended = next(i for i, line in enumerate(lines) if "17 trials (" in line)
    assert "69 epochs" in lines[ended]
    assert "best loss" in lines[ended + 1]
    assert "luthier show s --storage" in lines[-1]
    assert (len(result.trials), result.study.history.epochs) == (17, 69)


def test_a_grid_says_how_many_points_it_takes(tmp_path, capfd):
    space = lt.Space(rate=lt.Float(1e-4, 1e-1, scale="log"), units=lt.Int(32, 128, step=32))
    tune(tmp_path, space=space, searcher=lt.Grid(count={"rate": 3}), epochs=2)
    assert "plan: 12 trials x 2 epochs = 24 epochs" in capfd.readouterr().err


def test_the_warm_up_says_how_long(tmp_path, capfd):
    import time

    def slow(trial):
        for _ in trial.epochs():
            time.sleep(0.2)
            trial.report(loss=1.0)

    tune(tmp_path, train=slow, epochs=4, max_trials=3)
    assert re.search(r"warm-up over after \d+ epochs: about \d+ s left", capfd.readouterr().err)


def test_going_on_and_finished(tmp_path, capfd):
    tune(tmp_path, epochs=3, max_trials=2)
    capfd.readouterr()
    result = tune(tmp_path, epochs=3, max_trials=3)
    assert "going on: 2 trials and 6 epochs are there already" in capfd.readouterr().err
    assert result.study.history.epochs == 9


def test_the_linter_speaks_before_the_first_trial(tmp_path):
    trained = []
    space = lt.Space(learning_rate=lt.Float(1e-4, 1e-1))
    with pytest.warns(lt.LuthierWarning, match="learning_rate: .*log scale") as caught:
        tune(
            tmp_path, space=space, max_trials=1, progress=False,
            train=lambda trial: trained.append(1) or 1.0,
        )  # fmt: skip
    assert caught[0].filename == __file__
    assert trained == [1]


@pytest.mark.parametrize(
    ("scheduler", "trials", "longest"),
    [("hyperband", 8, 3), ("bohb", 5, 3), ("hyperband", 40, None), ("auto", 8, None)],
)
def test_limits_that_cut_off_all_last_rungs_are_told(tmp_path, scheduler, trials, longest):
    options = {"epochs": 9, "max_trials": trials, "scheduler": scheduler, "progress": False}
    if longest is None:
        tune(tmp_path, **options)
        return
    with pytest.warns(lt.LuthierWarning, match=f"No trial trains longer than {longest} of 9"):
        result = tune(tmp_path, **options)
    assert max(trial.step for trial in result.study.trials) == longest


def test_a_race_does_not_silence_that_the_last_rungs_are_cut_off(tmp_path):
    options = {"epochs": 9, "max_trials": 8, "scheduler": "hyperband", "progress": False}
    with pytest.warns(lt.LuthierWarning, match="No trial trains longer than 3 of 9"):
        tune(tmp_path, finalists=2, repetitions=3, **options)


def test_quiet(tmp_path, capfd):
    tune(tmp_path, epochs=1, max_trials=1, progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 3}, "Nothing would end study 's'"),
        ({"workers": 0, "max_trials": 1}, "workers must be a whole number above 0, got 0"),
        ({"workers": True, "max_trials": 1}, "got True"),
        ({"repetitions": 5, "max_trials": 1}, "repetitions=5 is for a race.*give finalists="),
        ({"workers": RayEngine(2), "gpus_per_trial": 0.5}, r"ray\(num_workers=8, gpus_per_worker="),
        ({"workers": RayEngine(2), "hang_after": 60}, r"hang_after=60 .* hang_after=600"),
    ],
)
def test_refusals(tmp_path, options, words):
    with pytest.raises(StudyError, match=words):
        tune(tmp_path, **options)


def test_ones_own_loop_has_no_model_to_give_back(tmp_path):
    result = tune(tmp_path, epochs=1, max_trials=1)
    assert result.checkpoint().is_dir()
    with pytest.raises(StudyError, match=r"result\.checkpoint\(\)"):
        result.model()


def test_stages_are_told_when_they_are_over(tmp_path, capfd):
    result = tune(tmp_path, staged=True, epochs=1, max_trials=12)
    said = capfd.readouterr().err
    assert "in stages: learning rate, then all together" in said
    assert "1. learning rate (rate): next in order." in said
    assert [stage.name for stage in result.stages] == ["learning rate", "all together"]
    with pytest.raises(StudyError, match="which search themselves"):
        tune(tmp_path, name="t", staged=True, searcher="random", epochs=1, max_trials=2)


def test_the_end_says_where_the_best_crowd_an_edge(tmp_path, capfd):
    space = {"width": lt.Float(1.0, 100.0, scale="log"), "other": lt.Float(0.0, 1.0)}
    tune(
        tmp_path,
        train=lambda trial: trial.report(loss=-trial["width"]),
        space=space,
        searcher="random",
        max_trials=60,
    )
    told = capfd.readouterr().err
    assert "the optimum may lie outside: width: " in told
    assert "at the upper end of its range" in told
    assert "luthier boundary s --act --storage" in told
    assert "widen=True lets a study do so by itself" in told
    assert "lie outside: other" not in told


def test_the_plan_of_trainings_of_unknown_length_has_no_epochs(tmp_path, capfd):
    tune(tmp_path, train=lambda trial: trial.report(loss=trial["rate"]), max_trials=6, finalists=2)
    told = capfd.readouterr().err
    assert "plan: 6 trials\n" in told
    assert "a race of the finalists on new seeds: at most 20 trainings\n" in told
    tune(tmp_path, name="t", epochs=2, max_trials=6, finalists=2, scheduler=None)
    told = capfd.readouterr().err
    assert "plan: 6 trials x 2 epochs = 12 epochs\n" in told  # the race alone may be shorter
    assert "at most 20 trainings x 2 epochs = 40 epochs\n" in told


def test_a_study_that_may_widens_its_space_and_says_so(tmp_path, capfd):
    space = {"width": lt.Float(1.0, 100.0, scale="log"), "other": lt.Float(0.0, 1.0)}
    options = {"train": lambda trial: trial.report(loss=-trial["width"]), "space": space}
    result = tune(tmp_path, **options, searcher="tpe", widen=True, max_trials=40)
    (change, *_) = [line for line in capfd.readouterr().err.splitlines() if "widened by" in line]
    assert re.search(
        r"After \d0 trials .* width: .* at the upper end .*; widened to 1000\b", change
    )
    assert result.study.space["width"].high >= 1000
    assert result.best.configuration["width"] > 100
    page = tmp_path / "page.md"
    result.report(page)
    assert change.removeprefix("luthier: ") in page.read_text()
    grid = lt.Grid(count=3)
    with pytest.raises(StudyError, match="searcher 'grid', whose points would all move"):
        tune(tmp_path, **options, name="g", searcher=grid, widen=True, max_trials=2)
    with pytest.raises(StudyError, match="widen must be True or False, got 'yes'"):
        tune(tmp_path, **options, name="h", widen="yes", max_trials=2)


@pytest.mark.parametrize("first", ["the space's", "the code's"])
def test_a_declared_space_is_kept_beside_what_the_code_asks_for(first):
    def train(trial):
        if first == "the space's":
            x = trial["x"]
            rate = trial.hp.float("rate", 1e-4, 1e-1, scale="log")
        else:
            rate = trial.hp.float("rate", 1e-4, 1e-1, scale="log")
            x = trial["x"]
        trial.report(loss=rate + x)

    result = lt.tune(
        train,
        {"x": lt.Float(0, 1)},
        minimize="loss",
        max_trials=3,
        storage="memory",
        progress=False,
    )
    for trial in result.trials:
        assert sorted(trial.configuration) == ["rate", "x"]
        assert trial.losses[0] == pytest.approx(sum(trial.configuration.values()))


def test_what_a_branch_did_not_ask_for_is_not_there():
    seen = []

    def train(trial):
        _ = trial.configuration
        kind = trial.hp.choice("kind", ["sgd", "adam"])
        if kind == "sgd":
            trial.hp.float("momentum", 0.5, 0.99)
        seen.append((kind, trial.get("momentum")))
        trial.report(loss=1.0)

    result = lt.tune(train, minimize="loss", max_trials=12, storage="memory", progress=False)
    assert {kind for kind, _ in seen} == {"sgd", "adam"}
    for (kind, momentum), trial in zip(seen, result.trials, strict=True):
        assert (momentum is None) == (kind == "adam")
        assert ("momentum" in trial.configuration) == (kind == "sgd")
