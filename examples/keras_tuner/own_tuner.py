"""A Tuner with an oracle, and a loop that reports by the tuner's hooks."""

import keras
import numpy as np

import luthier.compat.keras_tuner as kt


def build_model(hp):
    inputs = keras.Input(shape=(6,))
    x = inputs
    for i in range(hp.Int("layers", 1, 3, default=3)):
        x = keras.layers.Dense(hp.Int("units_" + str(i), 4, 32, step=4, default=8))(x)
        x = keras.layers.BatchNormalization()(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile(hp.Choice("optimizer", ["adam", "sgd"]), loss="mse")
    return model


class MyTuner(kt.Tuner):
    def run_trial(self, trial, train_x, train_y):
        hp = trial.hyperparameters
        batch_size = hp.Int("batch_size", 16, 64, step=16, default=32)
        model = self.hypermodel.build(trial.hyperparameters)
        for epoch in range(2):
            self.on_epoch_begin(trial, model, epoch, logs={})
            for batch in range(0, len(train_x), batch_size):
                self.on_batch_begin(trial, model, batch, logs={})
                part = slice(batch, batch + batch_size)
                loss = float(model.train_on_batch(train_x[part], train_y[part]))
                self.on_batch_end(trial, model, batch, logs={"loss": loss})
            self.on_epoch_end(trial, model, epoch, logs={"loss": loss})


tuner = MyTuner(
    oracle=kt.oracles.BayesianOptimization(objective=kt.Objective("loss", "min"), max_trials=2),
    hypermodel=build_model,
    directory="results",
    project_name="own_tuner",
    overwrite=True,
)
x = np.random.rand(96, 6)
tuner.search(train_x=x, train_y=x.sum(axis=1))
print(tuner.get_best_hyperparameters()[0].values)
best_model = tuner.get_best_models()[0]
assert best_model.predict(x, verbose=0).shape == (96, 1)
