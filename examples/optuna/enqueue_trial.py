"""Trials at parameters of one's own choice, before the sampler's; and trials added by hand."""

import luthier.compat.optuna as optuna


def objective(trial):
    x = trial.suggest_float("x", 0, 10)
    y = trial.suggest_float("y", 0, 10, step=0.5)
    return (x - 3) ** 2 + y


if __name__ == "__main__":
    study = optuna.create_study(direction="minimize")
    study.enqueue_trial({"x": 5, "y": 0.5})
    study.enqueue_trial({"x": 0}, user_attrs={"memo": "the corner"})
    study.add_trial(
        optuna.trial.create_trial(
            params={"x": 3.5, "y": 1.0},
            distributions={
                "x": optuna.distributions.FloatDistribution(0, 10),
                "y": optuna.distributions.FloatDistribution(0, 10, step=0.5),
            },
            value=1.25,
        )
    )
    study.optimize(objective, n_trials=20)

    trials = [t for t in study.trials if t.user_attrs.get("memo") == "the corner"]
    assert [t.params["x"] for t in trials] == [0]
    assert 1.25 in [t.value for t in study.trials if t.params == {"x": 3.5, "y": 1.0}]
    print(study.best_params, study.best_value)
