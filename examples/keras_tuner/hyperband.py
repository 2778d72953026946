"""Hyperband over the units of a hidden layer, and the best epoch to retrain with."""

import keras
import numpy as np

import luthier.compat.keras_tuner as kt

rng = np.random.default_rng(0)
img_train, label_train = rng.random((240, 14, 14)), rng.integers(0, 10, 240)
img_test, label_test = rng.random((60, 14, 14)), rng.integers(0, 10, 60)


def model_builder(hp):
    model = keras.Sequential()
    model.add(keras.layers.Flatten(input_shape=(14, 14)))
    hp_units = hp.Int("units", min_value=32, max_value=512, step=32)
    model.add(keras.layers.Dense(units=hp_units, activation="relu"))
    model.add(keras.layers.Dense(10))
    hp_learning_rate = hp.Choice("learning_rate", values=[1e-2, 1e-3, 1e-4])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=hp_learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


tuner = kt.Hyperband(
    model_builder,
    objective="val_accuracy",
    max_epochs=10,
    factor=3,
    directory="my_dir",
    project_name="intro_to_kt",
)
stop_early = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
tuner.search(img_train, label_train, epochs=50, validation_split=0.2, callbacks=[stop_early])

best_hps = tuner.get_best_hyperparameters(num_trials=1)[0]
print(
    f"The optimal number of units is {best_hps.get('units')} and the optimal learning rate is "
    f"{best_hps.get('learning_rate')}."
)

model = tuner.hypermodel.build(best_hps)
history = model.fit(img_train, label_train, epochs=3, validation_split=0.2, verbose=0)
val_acc_per_epoch = history.history["val_accuracy"]
best_epoch = val_acc_per_epoch.index(max(val_acc_per_epoch)) + 1
print(f"Best epoch: {best_epoch}")

hypermodel = tuner.hypermodel.build(best_hps)
hypermodel.fit(img_train, label_train, epochs=best_epoch, validation_split=0.2, verbose=0)
print("[test loss, test accuracy]:", hypermodel.evaluate(img_test, label_test, verbose=0))
