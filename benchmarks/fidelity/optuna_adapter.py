"""Optuna with its pruners, which stop trials but never pause them: nothing is trained twice.

A trial ends with its last loss. One that diverges is pruned where the pruner says so, and else failed,
which is what Optuna makes of NaN. With several workers TPE takes its ``constant_liar``.
"""

import math

import optuna
from optuna.trial import TrialState
from peers.optuna_adapter import suggest

from fidelity import Job

optuna.logging.set_verbosity(optuna.logging.ERROR)

PRUNERS = {
    "": lambda epochs: optuna.pruners.NopPruner(),
    "median": lambda epochs: optuna.pruners.MedianPruner(),
    "halving": lambda epochs: optuna.pruners.SuccessiveHalvingPruner(),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(max_resource=epochs),
}


class Tuner:
    def __init__(self, kind, setting):
        self.space, self.epochs = setting.space, setting.epochs
        self.study = optuna.create_study(
            direction="minimize",
            sampler=optuna.samplers.TPESampler(
                seed=setting.seed, constant_liar=setting.workers > 1
            ),
            pruner=PRUNERS[kind.partition(" ")[2]](setting.epochs),
        )
        self.trials = {}

    def ask(self):
        trial = self.study.ask()
        for p in self.space:
            suggest(trial, p)
        self.trials[trial.number] = trial
        return Job(trial.number, trial.params, 0, self.epochs)

    def report(self, number, step, loss):
        trial = self.trials[number]
        trial.report(math.nan if loss is None else loss, step)
        if trial.should_prune():
            self.study.tell(trial, state=TrialState.PRUNED)
        elif loss is None:
            self.study.tell(trial, state=TrialState.FAIL)
        elif step == self.epochs:
            self.study.tell(trial, loss)
        else:
            return True
        del self.trials[number]
        return False


def version():
    return f"Optuna {optuna.__version__}"
