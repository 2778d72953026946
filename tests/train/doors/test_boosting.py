"""XGBoost and LightGBM: rounds as epochs, paused and continued, on real data."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

import luthier

X, Y = load_breast_cancer(return_X_y=True)
ROWS = np.arange(len(X)) % 3 > 0
SPACE = {"rate": luthier.Float(1e-3, 1.0, scale="log"), "leaves": luthier.Int(2, 16)}


def by_xgboost(trial, **options):
    import xgboost

    params = {"eta": trial["rate"], "max_leaves": trial["leaves"], "objective": "binary:logistic"}
    luthier.xgboost.train(
        trial,
        {**params, "nthread": 1},
        xgboost.DMatrix(X[ROWS], Y[ROWS]),
        {"val": xgboost.DMatrix(X[~ROWS], Y[~ROWS])},
        **options,
    )


def by_lightgbm(trial, **options):
    import lightgbm

    data = lightgbm.Dataset(X[ROWS], Y[ROWS], free_raw_data=False)
    luthier.lightgbm.train(
        trial,
        {
            "objective": "binary",
            "metric": "binary_logloss",
            "learning_rate": trial["rate"],
            "num_leaves": trial["leaves"],
            "num_threads": 1,
        },
        data,
        {"val": lightgbm.Dataset(X[~ROWS], Y[~ROWS], reference=data, free_raw_data=False)},
        **options,
    )


def tuned(train, metric, tmp_path, **options):
    return luthier.tune(
        train,
        SPACE,
        minimize=metric,
        epochs=9,
        searcher="sobol",
        storage=tmp_path / "studies.db",
        progress=False,
        **options,
    )


@pytest.mark.parametrize(
    ("train", "metric"), [(by_xgboost, "val_logloss"), (by_lightgbm, "val_binary_logloss")]
)
def test_rounds_are_epochs_and_continue(train, metric, tmp_path):
    whole = tuned(train, metric, tmp_path, scheduler=None, max_trials=9, name="whole")
    halving = tuned(train, metric, tmp_path, scheduler="hyperband", max_epochs=60, name="halving")
    assert whole.best_value < 0.3
    assert {t.step for t in whole.trials} == {9}
    continued = [t for t in halving.trials if t.step > 1]
    assert {1, 9} <= {t.step for t in halving.trials}
    compared = 0
    for few in continued:
        for other in whole.trials:
            if few.configuration == other.configuration:
                np.testing.assert_allclose(few.losses, other.losses[: few.step], rtol=1e-5)
                compared += 1
    assert compared
    stopped = tuned(train, metric, tmp_path, scheduler="median", max_trials=6, name="stopped")
    assert any(t.state == "stopped" and t.step < 9 for t in stopped.trials)


def trees_of_xgboost(booster):
    """Return of each tree how many rows are in its nodes."""
    return [tuple(re.findall(r"cover=[\d.]+", tree)) for tree in booster.get_dump(with_stats=True)]


def trees_of_lightgbm(booster):
    trees = map(json.dumps, booster.dump_model()["tree_info"])
    return [tuple(re.findall(r"_count.: \d+", tree)) for tree in trees]


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_trial_that_goes_on_draws_other_rows(library, tmp_path):
    boosters = []

    def train(trial):
        if library == "xgboost":
            import xgboost

            data, trees = xgboost.DMatrix(X, Y), trees_of_xgboost
            own = {"eta": 1e-9, "subsample": 0.5, "nthread": 1, "objective": "reg:squarederror"}
        else:
            import lightgbm

            data, trees = lightgbm.Dataset(X, Y, free_raw_data=False), trees_of_lightgbm
            own = {"learning_rate": 1e-9, "bagging_fraction": 0.5, "bagging_freq": 1}
            own |= {"num_threads": 1, "objective": "regression", "metric": "rmse"}
        found = getattr(luthier, library).train(trial, own, data, {"val": data})
        if trial.from_step:
            boosters.append(trees(found))

    tuned(train, "val_rmse", tmp_path, scheduler="hyperband", max_epochs=60)
    assert max(map(len, boosters)) == 9
    for trees in boosters:  # next to nothing is learned, so they differ by their rows alone
        assert len(set(trees)) == len(trees)


def test_rounds_must_be_known(tmp_path):
    with pytest.raises(luthier.StudyError, match="rounds= is missing"):
        luthier.tune(
            by_xgboost,
            SPACE,
            minimize="val_logloss",
            max_trials=1,
            storage="memory",
            progress=False,
        )


@pytest.mark.parametrize(
    ("train", "metric", "refused"),
    [
        (by_xgboost, "val_logloss", {"num_boost_round": 50}),
        (by_xgboost, "val_logloss", {"xgb_model": None}),
        (by_lightgbm, "val_binary_logloss", {"num_boost_round": 50}),
        (by_lightgbm, "val_binary_logloss", {"valid_sets": []}),
        (by_lightgbm, "val_binary_logloss", {"init_model": None}),
    ],
)
def test_what_the_door_says_itself_is_refused_in_words(train, metric, refused):
    with pytest.raises(luthier.StudyError, match=f"train got {next(iter(refused))}=.*: "):
        once(train, metric, **refused)


def once(train, metric, **options):
    return luthier.tune(
        lambda trial: train(trial, **options),
        SPACE, minimize=metric, epochs=3, max_trials=1, storage="memory", progress=False, name="once",
    )  # fmt: skip


def test_xgboosts_own_progress_and_callbacks_as_they_are_given_there(capfd):
    from xgboost.callback import EvaluationMonitor

    once(by_xgboost, "val_logloss", verbose_eval=True, callbacks=None)
    assert "[1]" in capfd.readouterr().out
    once(by_xgboost, "val_logloss", callbacks=EvaluationMonitor())
    assert "[1]" in capfd.readouterr().out
    once(by_lightgbm, "val_binary_logloss", callbacks=None)
