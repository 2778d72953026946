"""A training loop of one's own, which tells the callbacks of each epoch."""

import keras
import numpy as np

import luthier.compat.keras_tuner as keras_tuner


class MyHyperModel(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential()
        model.add(keras.Input(shape=(14, 14)))
        model.add(keras.layers.Flatten())
        model.add(
            keras.layers.Dense(
                units=hp.Int("units", min_value=32, max_value=128, step=32), activation="relu"
            )
        )
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, sampling="log")), "mse")
        return model

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        batch_size = hp.Int("batch_size", 32, 128, step=32, default=64)
        for callback in callbacks:
            callback.set_model(model)
        best_epoch_loss = float("inf")
        for epoch in range(2):
            for begin in range(0, len(x), batch_size):
                model.train_on_batch(x[begin : begin + batch_size], y[begin : begin + batch_size])
            epoch_loss = float(model.test_on_batch(*validation_data))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"my_metric": epoch_loss})
            best_epoch_loss = min(best_epoch_loss, epoch_loss)
        return best_epoch_loss


tuner = keras_tuner.RandomSearch(
    objective=keras_tuner.Objective("my_metric", "min"),
    max_trials=2,
    hypermodel=MyHyperModel(),
    directory="results",
    project_name="custom_training",
    overwrite=True,
)
x, y = np.random.rand(200, 14, 14), np.random.rand(200, 1)
tuner.search(x=x[:150], y=y[:150], validation_data=(x[150:], y[150:]))
best_hps = tuner.get_best_hyperparameters()[0]
print(best_hps.values)
best_model = tuner.get_best_models()[0]
best_model.summary()
