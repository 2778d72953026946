"""A regression searched by a Gaussian process, for a metric whose direction is said."""

import keras
import numpy as np
from keras import layers

import luthier.compat.keras_tuner as kt


def build_regressor(hp):
    model = keras.Sequential(
        [
            layers.Dense(units=hp.Int("units", 32, 128, step=32), activation="relu"),
            layers.Dense(units=1),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(
            learning_rate=hp.Float("lr", 1e-4, 1e-2, sampling="log"),
            momentum=hp.Float("momentum", 0.5, 0.99, sampling="reverse_log"),
        ),
        loss="mean_squared_error",
        metrics=[keras.metrics.MeanAbsoluteError()],
    )
    return model


tuner = kt.BayesianOptimization(
    hypermodel=build_regressor,
    objective=kt.Objective("val_mean_absolute_error", direction="min"),
    max_trials=5,
    num_initial_points=2,
    seed=1,
    overwrite=True,
    directory="my_dir",
    project_name="built_in_metrics",
)
x = np.random.default_rng(0).normal(size=(100, 10)).astype("float32")
y = x.sum(axis=1, keepdims=True)
tuner.search(x=x[:80], y=y[:80], epochs=2, validation_data=(x[80:], y[80:]), verbose=0)
tuner.results_summary(2)
print(tuner.get_best_hyperparameters()[0].values)
