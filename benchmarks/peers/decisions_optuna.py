"""Optuna's end of ``decisions.py``: what ``should_prune`` takes, in milliseconds of processor time, as JSON.

Arguments: trials, reports a trial, decisions that are timed. The storage is in memory. Under successive
halving a third of each rung has a value in the next one, as after a run with this pruner.
"""

import json
import random
import sys
import time

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)
trials, reports, decisions = map(int, sys.argv[1:])
draws = random.Random(0)
PRUNERS = {
    "median": optuna.pruners.MedianPruner(),
    "successive halving": optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=3
    ),
}


def loss(x, step):
    return x + 2 / step + 0.05 * draws.random()


def told(x):
    """Return a trial that ended: all the reports, and its losses at the rungs that it arrived at."""
    curve = {step: loss(x, step) for step in range(1, reports + 1)}
    rungs, rung, step = {}, 0, 1
    while step <= reports and (rung == 0 or draws.random() < 1 / 3):
        rungs[f"completed_rung_{rung}"] = curve[step]
        rung, step = rung + 1, 3 * step
    return optuna.trial.create_trial(
        params={"x": x},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        value=curve[reports],
        intermediate_values=curve,
        system_attrs=rungs,
        state=TrialState.COMPLETE,
    )


def timed(pruner):
    """Return what each decision took, one after every report."""
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(trials):
        study.add_trial(told(draws.random()))
    taken = []
    while len(taken) < decisions:
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in range(1, reports + 1):
            trial.report(loss(x, step), step)
            begin = time.thread_time()
            stop = trial.should_prune()
            taken.append((time.thread_time() - begin) * 1e3)
            if stop or len(taken) == decisions:
                break
        study.tell(trial, state=TrialState.PRUNED)
    return taken


answer = {name: timed(pruner) for name, pruner in PRUNERS.items()}
print(json.dumps({"version": f"Optuna {optuna.__version__}", "taken": answer}))
