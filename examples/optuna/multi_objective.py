"""Two objectives against each other, and the trials that no other one beats in both."""

import luthier.compat.optuna as optuna


def objective(trial):
    x = trial.suggest_float("x", 0, 5)
    y = trial.suggest_float("y", 0, 3)
    v0 = 4 * x**2 + 4 * y**2
    v1 = (x - 5) ** 2 + (y - 5) ** 2
    return v0, v1


if __name__ == "__main__":
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.set_metric_names(["cost", "distance"])
    study.optimize(objective, n_trials=50, timeout=600)

    print("Number of finished trials: ", len(study.trials))
    print("Pareto front:")
    trials = sorted(study.best_trials, key=lambda t: t.values)
    for trial in trials:
        print(f"  Trial#{trial.number}")
        print("    Values: Values={}, {}".format(*trial.values))
        print(f"    Params: {trial.params}")
    assert all(t.values[0] <= 4 * 25 + 4 * 9 for t in trials)
