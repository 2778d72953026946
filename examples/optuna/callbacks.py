"""Callbacks: one that counts, one that stops, and attributes of trials and of the study."""

import logging

import luthier.compat.optuna as optuna
from luthier.compat.optuna.study import MaxTrialsCallback
from luthier.compat.optuna.trial import TrialState


class StopWhenTrialKeepBeingPrunedCallback:
    def __init__(self, threshold):
        self.threshold = threshold
        self._consecutive_pruned_count = 0

    def __call__(self, study, trial):
        if trial.state == TrialState.PRUNED:
            self._consecutive_pruned_count += 1
        else:
            self._consecutive_pruned_count = 0
        if self._consecutive_pruned_count >= self.threshold:
            study.stop()


def objective(trial):
    x = trial.suggest_int("x", 1, 64)
    trial.set_user_attr("squared", x * x)
    if x > 32 or trial.number > 12:
        raise optuna.TrialPruned()
    return 1.0 / x


if __name__ == "__main__":
    optuna.logging.get_logger("optuna").setLevel(logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    study.set_user_attr("dataset", "none")
    study.optimize(
        objective,
        n_trials=200,
        callbacks=[
            StopWhenTrialKeepBeingPrunedCallback(6),
            MaxTrialsCallback(50, states=(TrialState.COMPLETE,)),
        ],
    )
    print(len(study.trials), "trials of", study.user_attrs)
    assert all(t.user_attrs["squared"] == t.params["x"] ** 2 for t in study.trials)
