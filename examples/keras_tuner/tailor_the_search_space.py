"""Some hyperparameters searched and the rest fixed, without a change to the build function."""

import keras
import numpy as np
from keras import layers

import luthier.compat.keras_tuner as keras_tuner


def build_model(hp):
    model = keras.Sequential()
    model.add(layers.Flatten())
    model.add(layers.Dense(units=hp.Int("units", min_value=32, max_value=128, step=32, default=64)))
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(units=10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(
            learning_rate=hp.Choice("learning_rate", values=[1e-2, 1e-3, 1e-4])
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


x_train, y_train = np.random.rand(100, 14, 14, 1), np.random.randint(0, 10, (100, 1))
x_val, y_val = np.random.rand(20, 14, 14, 1), np.random.randint(0, 10, (20, 1))

hp = keras_tuner.HyperParameters()
hp.Float("learning_rate", min_value=1e-4, max_value=1e-2, sampling="log")
tuner = keras_tuner.RandomSearch(
    hypermodel=build_model,
    hyperparameters=hp,
    tune_new_entries=False,
    objective="val_accuracy",
    max_trials=3,
    overwrite=True,
    directory="my_dir",
    project_name="search_a_few",
)
tuner.search(x_train, y_train, epochs=1, validation_data=(x_val, y_val), verbose=0)
tuner.search_space_summary()
assert len({h.get("learning_rate") for h in tuner.get_best_hyperparameters(3)}) == 3

hp = keras_tuner.HyperParameters()
hp.Fixed("learning_rate", value=1e-4)
tuner = keras_tuner.RandomSearch(
    build_model,
    hyperparameters=hp,
    tune_new_entries=True,
    objective="val_accuracy",
    max_trials=3,
    overwrite=True,
    directory="my_dir",
    project_name="fix_a_few",
)
tuner.search(x_train, y_train, epochs=1, validation_data=(x_val, y_val), verbose=0)
assert {h.get("learning_rate") for h in tuner.get_best_hyperparameters(3)} == {1e-4}

tuner = keras_tuner.RandomSearch(
    build_model,
    optimizer=keras.optimizers.Adam(1e-3),
    loss="mse",
    metrics=["sparse_categorical_crossentropy"],
    objective="val_loss",
    max_trials=2,
    overwrite=True,
    directory="my_dir",
    project_name="override_compile",
)
tuner.search(x_train, y_train, epochs=1, validation_data=(x_val, y_val), verbose=0)
assert tuner.get_best_models()[0].loss == "mse"
