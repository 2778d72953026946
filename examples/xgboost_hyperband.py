"""Boosted trees with Hyperband over rounds: the best go on from the trees they have."""

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer

import luthier

x, y = load_breast_cancer(return_X_y=True)
validation = np.arange(len(x)) % 3 == 0
data = (x[~validation], y[~validation]), (x[validation], y[validation])


def train(trial):
    training, held_out = (xgboost.DMatrix(*each) for each in data)
    params = {
        "objective": "binary:logistic",
        "eta": trial["learning_rate"],
        "max_depth": trial["max_depth"],
        "subsample": trial["subsample"],
        "lambda": trial["lambda"],
        "nthread": 1,
    }
    luthier.xgboost.train(trial, params, training, {"val": held_out})


if __name__ == "__main__":
    result = luthier.tune(
        train,
        {
            "learning_rate": luthier.Float(1e-3, 1.0, scale="log"),
            "max_depth": luthier.Int(1, 8),
            "subsample": luthier.Float(0.5, 1.0),
            "lambda": luthier.Float(1e-3, 10.0, scale="log"),
        },
        minimize="val_logloss",
        epochs=27,
        scheduler="hyperband",
        max_epochs=200,
    )
    print(f"best {result.best_value:.4f} {result.configuration}")
    booster = xgboost.Booster(model_file=result.checkpoint() / "booster.ubj")
    print(booster.num_boosted_rounds(), "rounds")
