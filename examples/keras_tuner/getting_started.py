"""A model whose layers, dropout and learning rate are searched at random."""

import keras
import numpy as np
from keras import layers

import luthier.compat.keras_tuner as keras_tuner


def build_model(hp):
    model = keras.Sequential()
    model.add(layers.Flatten())
    for i in range(hp.Int("num_layers", 1, 3)):
        model.add(
            layers.Dense(
                units=hp.Int(f"units_{i}", min_value=32, max_value=512, step=32),
                activation=hp.Choice("activation", ["relu", "tanh"]),
            )
        )
    if hp.Boolean("dropout"):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


build_model(keras_tuner.HyperParameters())

tuner = keras_tuner.RandomSearch(
    hypermodel=build_model,
    objective="val_accuracy",
    max_trials=3,
    executions_per_trial=2,
    overwrite=True,
    directory="my_dir",
    project_name="helloworld",
)
tuner.search_space_summary()

rng = np.random.default_rng(0)
x_train, x_val = rng.random((200, 14, 14, 1)), rng.random((50, 14, 14, 1))
y_train = keras.utils.to_categorical(rng.integers(0, 10, 200), 10)
y_val = keras.utils.to_categorical(rng.integers(0, 10, 50), 10)
tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))

models = tuner.get_best_models(num_models=2)
best_model = models[0]
best_model.build(input_shape=(None, 14, 14, 1))
best_model.summary()
tuner.results_summary()

best_hps = tuner.get_best_hyperparameters(5)
model = build_model(best_hps[0])
model.fit(np.concatenate((x_train, x_val)), np.concatenate((y_train, y_val)), epochs=1)
assert len(best_hps) <= 5
assert best_model.predict(x_val, verbose=0).shape == (50, 10)
