"""A HyperModel whose training has hyperparameters, too."""

import keras
import numpy as np
from keras import layers

import luthier.compat.keras_tuner as keras_tuner


class MyHyperModel(keras_tuner.HyperModel):
    def build(self, hp):
        image_size = hp.Int("image_size", 10, 14)
        inputs = keras.Input(shape=(image_size, image_size))
        outputs = layers.Flatten()(inputs)
        outputs = layers.Dense(
            units=hp.Int("units", min_value=32, max_value=512, step=32), activation="relu"
        )(outputs)
        outputs = layers.Dense(10, activation="softmax")(outputs)
        model = keras.Model(inputs, outputs)
        model.compile(
            optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    def fit(self, hp, model, x, y, validation_data=None, **kwargs):
        if hp.Boolean("normalize"):
            x = (x - x.mean()) / x.std()
        image_size = hp.get("image_size")
        cropped_x = x[:, :image_size, :image_size]
        if validation_data:
            x_val, y_val = validation_data
            validation_data = (x_val[:, :image_size, :image_size], y_val)
        return model.fit(
            cropped_x,
            y,
            shuffle=hp.Boolean("shuffle"),
            batch_size=hp.Choice("batch_size", [16, 32]),
            validation_data=validation_data,
            **kwargs,
        )


tuner = keras_tuner.RandomSearch(
    MyHyperModel(),
    objective="val_accuracy",
    max_trials=3,
    overwrite=True,
    directory="my_dir",
    project_name="tune_hypermodel",
)
rng = np.random.default_rng(1)
x_train, y_train = rng.random((120, 14, 14)), rng.integers(0, 10, 120)
tuner.search(x_train, y_train, epochs=2, validation_data=(x_train[:40], y_train[:40]), verbose=0)

hypermodel = MyHyperModel()
best_hp = tuner.get_best_hyperparameters()[0]
model = hypermodel.build(best_hp)
hypermodel.fit(best_hp, model, x_train, y_train, epochs=1, verbose=0)
print(best_hp.values)
assert {"image_size", "units", "normalize", "shuffle", "batch_size"} <= set(best_hp.values)
