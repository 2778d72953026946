"""A pruner of one's own, and an objective that is called again on the best trial."""

import luthier.compat.optuna as optuna
from luthier.compat.optuna.pruners import BasePruner


class LastPlacePruner(BasePruner):
    def __init__(self, warmup_steps, warmup_trials):
        self._warmup_steps = warmup_steps
        self._warmup_trials = warmup_trials

    def prune(self, study, trial):
        step = trial.last_step
        if step is None or step < self._warmup_steps:
            return False
        this_score = trial.intermediate_values[step]
        completed = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        scores = [t.intermediate_values[step] for t in completed if step in t.intermediate_values]
        if len(completed) < self._warmup_trials:
            return False
        return this_score > max(scores, default=float("inf"))


def objective(trial):
    x = trial.suggest_float("x", -5, 5)
    power = trial.suggest_int("power", 2, 6, step=2)
    for step in range(10):
        value = abs(x) ** power + 1 / (step + 1)
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return value


def detailed_objective(trial):
    return objective(trial), trial.params["x"]


if __name__ == "__main__":
    study = optuna.create_study(pruner=LastPlacePruner(warmup_steps=1, warmup_trials=5))
    study.optimize(objective, n_trials=30)
    again, x = detailed_objective(study.best_trial)
    assert abs(again - study.best_value) < 1e-12
    fixed = objective(optuna.trial.FixedTrial({"x": 1.0, "power": 4}))
    assert fixed == 1.1
    print(study.best_value, x, {t.state.name for t in study.trials})
