"""The far end of ``fashion_hyperband.py``: one whole search by KerasTuner's Hyperband, in its own environment.

    PYTHON keras_tuner_hyperband.py data.npz '{"net": "mlp", "epochs": 9, "iterations": 1,
        "batch_size": 128, "seed": 0}'

Prints {"found": [[seconds, epochs so far, validation accuracy], ...], "versions": [...]}.
"""

import json
import os
import sys
import tempfile
import time

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what KerasTuner prints goes to standard error

import keras  # noqa: E402
import keras_tuner  # noqa: E402
import numpy as np  # noqa: E402
from fashion_nets import NETS  # noqa: E402

found = []


class Recorder(keras.callbacks.Callback):
    """Notes each epoch's end; KerasTuner copies it for every trial, so the list is the module's."""

    def on_epoch_end(self, epoch, logs=None):
        found.append((time.perf_counter() - begin, len(found) + 1, float(logs["val_accuracy"])))


def build(hp):
    return NETS[setting["net"]](
        lambda name, low, high: hp.Float(name, low, high, sampling="log"),
        lambda name, low, high, step: hp.Int(name, low, high, step=step),
    )


data, setting = np.load(sys.argv[1]), json.loads(sys.argv[2])
begin = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    tuner = keras_tuner.Hyperband(
        build,
        objective="val_accuracy",
        max_epochs=setting["epochs"],
        hyperband_iterations=setting["iterations"],
        seed=setting["seed"],
        directory=folder,
        project_name="fashion",
    )
    tuner.search(
        data["x"],
        data["y"],
        validation_data=(data["x_val"], data["y_val"]),
        batch_size=setting["batch_size"],
        callbacks=[Recorder()],
        verbose=0,
    )
versions = [f"KerasTuner {keras_tuner.__version__}", f"Keras {keras.__version__}"]
answers.write(json.dumps({"found": found, "versions": versions}) + "\n")
