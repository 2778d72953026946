"""Trials that fail, and a search that goes on, or ends."""

import keras
import numpy as np
from keras import layers

import luthier.compat.keras_tuner as keras_tuner


def build_with(error):
    def build_model(hp):
        units_1 = hp.Int("units_1", 10, 40, step=10)
        units_2 = hp.Int("units_2", 10, 30, step=10)
        model = keras.Sequential(
            [
                keras.Input(shape=(20,)),
                layers.Dense(units=units_1),
                layers.Dense(units=units_2),
                layers.Dense(units=1),
            ]
        )
        model.compile(loss="mse")
        n_params = model.count_params()
        if n_params > 1200:
            raise error(f"Model too large! It contains {n_params} params.")
        return model

    return build_model


x, y = np.random.rand(60, 20), np.random.rand(60, 1)
tuner = keras_tuner.GridSearch(
    hypermodel=build_with(keras_tuner.errors.FailedTrialError),
    objective="val_loss",
    overwrite=True,
    max_retries_per_trial=3,
    max_consecutive_failed_trials=8,
    directory="my_dir",
    project_name="failed",
)
tuner.search(x=x, y=y, validation_data=(x, y), epochs=1, verbose=0)
tuner.results_summary(3)
statuses = [trial.status for trial in tuner.oracle.trials.values()]
assert statuses.count("FAILED") == 5, statuses
assert statuses.count("COMPLETED") == 7

try:
    tuner = keras_tuner.GridSearch(
        hypermodel=build_with(keras_tuner.errors.FatalError),
        objective="val_loss",
        overwrite=True,
        directory="my_dir",
        project_name="fatal",
    )
    tuner.search(x=x, y=y, validation_data=(x, y), epochs=1, verbose=0)
except keras_tuner.errors.FatalError:
    print("The search is terminated.")
