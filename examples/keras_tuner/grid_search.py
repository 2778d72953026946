"""Every combination of a few values."""

import keras
import numpy as np

import luthier.compat.keras_tuner as kt


def build_model(hp):
    model = keras.Sequential(
        [keras.layers.Dense(hp.Choice("units", [8, 16])), keras.layers.Dense(1)]
    )
    model.compile(
        optimizer=hp.Choice("optimizer", ["sgd", "adam"]),
        loss=hp.Fixed("loss", "mse"),
    )
    return model


tuner = kt.GridSearch(
    build_model, "val_loss", max_trials=10, overwrite=True, directory="my_dir", project_name="grid"
)
x, y = np.random.rand(60, 4), np.random.rand(60, 1)
tuner.search(x, y, epochs=1, validation_split=0.5, verbose=0)
best = tuner.oracle.get_best_trials(10)
assert len({(t.hyperparameters["units"], t.hyperparameters["optimizer"]) for t in best}) == 4
print(len(best), "trials; best", best[0].score)
