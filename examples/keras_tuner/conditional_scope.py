"""Two kinds of models, each with hyperparameters of its own."""

import keras
import numpy as np
from keras import layers

import luthier.compat.keras_tuner as kt


def build_model(hp):
    model = keras.Sequential()
    model.add(keras.Input(shape=(8, 8, 1)))
    model_type = hp.Choice("model_type", ["mlp", "cnn"])
    with hp.conditional_scope("model_type", ["mlp"]):
        if model_type == "mlp":
            model.add(layers.Flatten())
            model.add(layers.Dense(hp.Int("units", 8, 32, step=8), activation="relu"))
    with hp.conditional_scope("model_type", ["cnn"]):
        if model_type == "cnn":
            model.add(layers.Conv2D(hp.Int("filters", 2, 6, step=2), 3, activation="relu"))
            model.add(layers.GlobalAveragePooling2D())
    with hp.name_scope("head"):
        model.add(layers.Dropout(hp.Float("rate", 0.0, 0.5, step=0.25)))
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


tuner = kt.RandomSearch(
    build_model,
    objective="val_loss",
    max_trials=6,
    seed=7,
    overwrite=True,
    directory="my_dir",
    project_name="conditional",
)
x, y = np.random.rand(60, 8, 8, 1), np.random.randint(0, 3, 60)
tuner.search(x, y, epochs=1, validation_data=(x, y), verbose=0)
for hp in tuner.get_best_hyperparameters(6):
    assert ("units" in hp.values) == (hp.get("model_type") == "mlp")
    assert ("filters" in hp.values) == (hp.get("model_type") == "cnn")
    assert hp.get("head/rate") in (0.0, 0.25, 0.5)
tuner.search_space_summary()
