"""When each pruner prunes, beside Optuna; and what pruners and samplers may not be given."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import optuna as real
import pytest
from both_optunas import BOTH, quiet  # noqa: F401

import luthier.compat.optuna as door

# -- when they prune -----------------------------------------------------------------------------

PRUNERS = {
    "median": lambda p: p.MedianPruner(),
    "median at once": lambda p: p.MedianPruner(n_startup_trials=0),
    "median, warm": lambda p: p.MedianPruner(
        n_startup_trials=2, n_warmup_steps=4, interval_steps=3
    ),
    "median of three": lambda p: p.MedianPruner(n_startup_trials=1, n_min_trials=3),
    "percentile 25": lambda p: p.PercentilePruner(25.0, n_startup_trials=1),
    "percentile 80": lambda p: p.PercentilePruner(80.0, n_startup_trials=2, interval_steps=2),
    "halving": lambda p: p.SuccessiveHalvingPruner(),
    "halving from 1": lambda p: p.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    "halving from 3": lambda p: p.SuccessiveHalvingPruner(3, 3),
    "halving, late": lambda p: p.SuccessiveHalvingPruner(1, 2, min_early_stopping_rate=2),
    "halving, slow": lambda p: p.SuccessiveHalvingPruner(2, 2, bootstrap_count=3),
    "hyperband": lambda p: p.HyperbandPruner(),
    "hyperband of 20": lambda p: p.HyperbandPruner(1, 20, reduction_factor=2),
    "hyperband, slow": lambda p: p.HyperbandPruner(2, 20, 2, bootstrap_count=2),
    "hyperband of one bracket": lambda p: p.HyperbandPruner(4, 6),
    "threshold": lambda p: p.ThresholdPruner(lower=0.2, upper=0.9),
    "threshold, warm": lambda p: p.ThresholdPruner(upper=0.6, n_warmup_steps=3, interval_steps=4),
    "patient": lambda p: p.PatientPruner(None, patience=2),
    "patient, near": lambda p: p.PatientPruner(None, patience=0, min_delta=0.1),
    "patient median": lambda p: p.PatientPruner(p.MedianPruner(n_startup_trials=1), patience=1),
    "wilcoxon": lambda p: p.WilcoxonPruner(p_threshold=0.2),
}


def curves(first):
    """Sixteen curves of one problem, NaN among them, whose steps begin at *first*."""
    draw = np.random.default_rng(7)
    for trial in range(16):
        level, values = draw.uniform(0, 1), {}
        for step in range(first, first + 20, 2 if trial % 5 == 4 else 1):
            values[step] = float(level + 0.5 / (step + 1) + draw.normal(0, 0.05))
        if trial == 6:
            values[first + 2] = math.nan
        yield trial, values


def pruned_at(optuna, name, direction, first):
    """Return for each trial the steps at which the pruner says so; it is told, and obeyed, at the first."""
    pruner = PRUNERS[name](optuna.pruners)
    study = optuna.create_study(study_name="s", direction=direction, pruner=pruner)
    found = []
    for number, values in curves(first):
        trial, steps = study.ask(), []
        for step, value in values.items():
            trial.report(value, step)
            if trial.should_prune():
                steps.append(step)
                if number % 3:  # every third one does not care
                    break
        found.append(steps)
        if number in (2, 3):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif steps and number % 3:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, list(values.values())[-1])
    return found


@pytest.mark.parametrize("name", PRUNERS)
def test_they_prune_at_the_steps_at_which_optuna_does(name):
    for direction, first in itertools.product(("minimize", "maximize"), (0, 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = pruned_at(real, name, direction, first)
            assert pruned_at(door, name, direction, first) == expected
        assert direction == "maximize" or any(expected)


@BOTH
def test_the_lowest_rung_is_a_hundredth_of_the_first_trial(optuna):
    study = optuna.create_study(pruner=optuna.pruners.SuccessiveHalvingPruner(reduction_factor=2))
    first = study.ask()
    first.report(0.0, 500)
    study.tell(first, 0.0)
    rungs = []
    good, bad = study.ask(), study.ask()
    for step in range(1, 12):
        good.report(0.0, step)
        assert not good.should_prune()
        bad.report(1.0, step)
        if bad.should_prune():
            rungs.append(step)
    assert rungs == [5, 10]


@BOTH
def test_failed_trials_do_not_start_the_median_up(optuna):
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    for state in ("FAIL", "FAIL", "COMPLETE"):
        trial = study.ask()
        trial.report(0.0, 1)
        study.tell(trial, 0.0 if state == "COMPLETE" else None, optuna.trial.TrialState[state])
    trial = study.ask()
    trial.report(9.0, 1)
    assert not trial.should_prune()
    study.tell(trial, 9.0)
    trial = study.ask()
    trial.report(10.0, 1)
    assert trial.should_prune()


def test_rungs_are_known_to_other_processes(tmp_path):
    url, pruner = f"sqlite:///{tmp_path}/s.db", door.pruners.SuccessiveHalvingPruner(1, 2)
    first = door.create_study(study_name="s", storage=url, pruner=pruner)
    second = door.load_study(study_name="s", storage=url, pruner=pruner)
    trial = first.ask()
    trial.report(0.0, 1)
    assert not trial.should_prune()
    assert second.trials[0].system_attrs == {"completed_rung_0": 0.0}
    other = second.ask()
    other.report(1.0, 1)
    assert other.should_prune()


def test_a_pruner_of_ones_own_is_asked():
    class Never:
        def prune(self, study, trial):
            return trial.last_step > 2

    study = door.create_study(pruner=door.pruners.PatientPruner(Never(), patience=0))
    trial, found = study.ask(), []
    for step in range(5):
        trial.report(float(step), step)
        found.append(trial.should_prune())
    assert found == [False, False, False, True, True]


# -- what they may not be given ------------------------------------------------------------------

WRONG = [
    "pruners.PercentilePruner(150)",
    "pruners.PercentilePruner(25.0, n_startup_trials=-1)",
    "pruners.MedianPruner(-1)",
    "pruners.MedianPruner(n_warmup_steps=-1)",
    "pruners.MedianPruner(interval_steps=0)",
    "pruners.MedianPruner(n_min_trials=0)",
    "pruners.SuccessiveHalvingPruner(reduction_factor=1)",
    "pruners.SuccessiveHalvingPruner(min_resource=0)",
    "pruners.SuccessiveHalvingPruner('x')",
    "pruners.SuccessiveHalvingPruner(min_early_stopping_rate=-1)",
    "pruners.SuccessiveHalvingPruner(bootstrap_count=-1)",
    "pruners.SuccessiveHalvingPruner(bootstrap_count=1)",
    "pruners.HyperbandPruner(max_resource='x')",
    "pruners.HyperbandPruner(bootstrap_count=1)",
    "pruners.ThresholdPruner()",
    "pruners.ThresholdPruner(lower=5, upper=1)",
    "pruners.ThresholdPruner(lower='a')",
    "pruners.ThresholdPruner(upper=1, interval_steps=0)",
    "pruners.PatientPruner(None, -1)",
    "pruners.PatientPruner(None, 1, min_delta=-1.0)",
    "pruners.WilcoxonPruner(0.1)",
    "pruners.WilcoxonPruner(p_threshold=2)",
    "pruners.WilcoxonPruner(n_startup_steps=-1)",
    "samplers.RandomSampler('a')",
    "samplers.RandomSampler(seed=1.5)",
    "samplers.BruteForceSampler(seed='a')",
    "samplers.TPESampler(sed=3)",
    "samplers.TPESampler(multivariate=False, group=True)",
    "samplers.QMCSampler(qmc_type='x')",
    "samplers.NSGAIISampler(population_size=1)",
    "samplers.NSGAIISampler(mutation_prob=2)",
    "samplers.GPSampler(trees=3)",
    "samplers.CmaEsSampler(sigma=1.0)",
    "importance.PedAnovaImportanceEvaluator(quantile=0.1)",
]


@BOTH
@pytest.mark.parametrize("call", WRONG)
def test_what_cannot_be_is_refused_when_it_is_made(optuna, call):
    with pytest.raises((ValueError, TypeError)):
        eval(f"optuna.{call}", {"optuna": optuna})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("samplers.TPESampler(sed=3)", "no argument 'sed': .*Did you mean 'seed'"),
        ("samplers.RandomSampler('a')", "seed must be a whole number or None, got 'a'"),
        ("pruners.ThresholdPruner(5, 1)", "did you mean lower=1, upper=5"),
        ("pruners.HyperbandPruner(min_resource=0)", "min_resource must be a whole number"),
        ("pruners.HyperbandPruner(reduction_factor=1)", "at least 2, got 1"),
        ("pruners.PatientPruner(door.pruners.MedianPruner, 1)", "expected an object of it"),
        ("pruners.PatientPruner(3, 1)", r"is 3: expected an object such as MedianPruner\(\)"),
        ("samplers.GridSampler([1, 2])", r"expected a dictionary such as \{'x'"),
        ("samplers.GridSampler({'x': 'abc'})", "expected a list of values"),
        ("samplers.GridSampler({'x': []})", "x has no values"),
        ("samplers.PartialFixedSampler({'x': 1}, None)", r"such as TPESampler\(\)"),
        ("samplers.QMCSampler('sobl')", "Did you mean 'sobol'"),
    ],
)
def test_it_says_what_was_expected(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        eval(f"door.{call}", {"door": door})
