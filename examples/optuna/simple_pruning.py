"""Reports after each pass over the data, and trials that end early."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import luthier.compat.optuna as optuna

X, Y = load_digits(return_X_y=True)
CLASSES = np.unique(Y)


def objective(trial):
    train_x, valid_x, train_y, valid_y = train_test_split(X, Y, test_size=0.25, random_state=0)
    alpha = trial.suggest_float("alpha", 1e-5, 1e1, log=True)
    penalty = trial.suggest_categorical("penalty", ["l1", "l2", "elasticnet"])
    clf = SGDClassifier(alpha=alpha, penalty=penalty, random_state=0)

    for step in range(20):
        clf.partial_fit(train_x, train_y, classes=CLASSES)
        trial.report(1.0 - clf.score(valid_x, valid_y), step)
        if trial.should_prune():
            raise optuna.TrialPruned()

    return 1.0 - clf.score(valid_x, valid_y)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=3))
    study.optimize(objective, n_trials=40)

    pruned = [t for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]
    complete = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    print("pruned", len(pruned), "complete", len(complete), "best", study.best_value)
    assert len(pruned) + len(complete) == len(study.trials)
