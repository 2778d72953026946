"""Ask and tell: the loop is one's own."""

import luthier.compat.optuna as optuna
from luthier.compat.optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def evaluate(lr, layers, optimizer):
    return (lr - 0.1) ** 2 + 0.01 * layers + (optimizer == "sgd") * 0.1


if __name__ == "__main__":
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=1))
    distributions = {
        "lr": FloatDistribution(1e-4, 1.0, log=True),
        "layers": IntDistribution(1, 5),
        "optimizer": CategoricalDistribution(["sgd", "adam"]),
    }
    for _ in range(10):  # one at a time
        trial = study.ask(distributions)
        study.tell(trial, evaluate(**trial.params))

    batch = []
    for _ in range(5):  # several at once
        trial = study.ask()
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        batch.append((trial.number, evaluate(lr, trial.suggest_int("layers", 1, 5), "adam")))
    for number, value in batch:
        study.tell(number, value)

    failed = study.ask()
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 15 + ["FAIL"]
    print(study.best_params)
