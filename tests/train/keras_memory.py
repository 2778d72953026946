"""Trains Keras trials in one process; prints its resident bytes after the 10th and the last.

With a third argument by a training function of one's own, which calls ``luthier.keras.fit``.
"""

import sys

import keras

import luthier
from luthier.run.child import resident_bytes
from luthier.train.keras import Training

data = luthier.datasets.fashion_mnist("subset")
data = ((data.train[0][:640], data.train[1][:640]), data.validation)


def build(hp):
    units = hp.int("units", 32, 512, step=32)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    rate = hp.float("learning_rate", 1e-4, 1e-1, scale="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


sizes = []
call = Training.__call__


def watched(self, trial):
    call(self, trial)
    sizes.append(resident_bytes())


def own(trial):
    luthier.keras.fit(trial, build(trial.hp), data, fused=False)
    sizes.append(resident_bytes())


Training.__call__ = watched
storage, trials = sys.argv[1], int(sys.argv[2])
options = {"epochs": 1, "max_trials": trials, "name": "memory", "storage": storage}
if sys.argv[3:]:
    luthier.tune(own, maximize="val_accuracy", **options)
else:
    luthier.keras.tune(build, data, **options)
print(sizes[9], sizes[-1])
