"""KerasTuner's end of ``fused.py``: one whole search, in its own environment; see ``fused_luthier.py``."""

import json
import os
import sys
import tempfile
import time

begin = time.perf_counter()
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what KerasTuner prints goes to standard error

import keras  # noqa: E402
import keras_tuner  # noqa: E402
import numpy as np  # noqa: E402
from fused_nets import NETS  # noqa: E402

found = []


class Recorder(keras.callbacks.Callback):
    """Notes each epoch's end; KerasTuner copies it for every trial, so the list is the module's."""

    def on_epoch_end(self, epoch, logs=None):
        found.append(float(logs["val_accuracy"]))


def build(hp):
    return NETS[setting["net"]](
        lambda name, low, high: hp.Float(name, low, high, sampling="log"),
        lambda name, low, high: hp.Float(name, low, high),
        lambda name, low, high, step: hp.Int(name, low, high, step=step),
    )


data, setting = np.load(sys.argv[1]), json.loads(sys.argv[2])
options = {"objective": "val_accuracy", "seed": setting["seed"], "project_name": "fused"}
with tempfile.TemporaryDirectory() as folder:
    if setting["search"] == "random":
        tuner = keras_tuner.RandomSearch(
            build, max_trials=setting["trials"], directory=folder, **options
        )
    else:
        tuner = keras_tuner.Hyperband(
            build, max_epochs=setting["epochs"], factor=3, directory=folder, **options
        )
    tuner.search(
        data["x"],
        data["y"],
        validation_data=(data["x_val"], data["y_val"]),
        batch_size=setting["batch_size"],
        epochs=setting["epochs"],
        callbacks=[Recorder()],
        verbose=0,
    )
    answer = {
        "seconds": time.perf_counter() - begin,
        "epochs": len(found),
        "trials": len(tuner.oracle.trials),
        "best": max(found),
        "versions": [f"KerasTuner {keras_tuner.__version__}", f"Keras {keras.__version__}"],
    }
answers.write(json.dumps(answer) + "\n")
