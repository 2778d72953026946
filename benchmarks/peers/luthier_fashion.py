"""Luthier's end of ``fashion_hyperband.py``: the same call as ``keras_tuner_hyperband.py``, the same answer."""

import json
import os
import sys
import tempfile
import time

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import keras  # noqa: E402
import numpy as np  # noqa: E402
from fashion_nets import NETS  # noqa: E402

import luthier  # noqa: E402
from luthier.study.events import Reported  # noqa: E402
from luthier.study.log import read_log  # noqa: E402


def build(hp):
    return NETS[setting["net"]](
        lambda name, low, high: hp.float(name, low, high, scale="log"),
        lambda name, low, high, step: hp.int(name, low, high, step=step),
    )


data, setting = np.load(sys.argv[1]), json.loads(sys.argv[2])
pairs = (data["x"], data["y"]), (data["x_val"], data["y_val"])
with tempfile.TemporaryDirectory() as folder:
    begin = time.time()
    result = luthier.keras.tune(
        build,
        pairs,
        epochs=setting["epochs"],
        batch_size=setting["batch_size"],
        max_epochs=setting["budget"],
        seed=setting["seed"],
        storage=f"{folder}/luthier.db",
        name="fashion",
        progress=False,
    )
    reports = [
        (event.time - begin, event.metrics["val_accuracy"])
        for _, event in read_log(result.study.store, "fashion")
        if isinstance(event, Reported)
    ]
found = [(seconds, number, value) for number, (seconds, value) in enumerate(reports, 1)]
versions = [f"Luthier {luthier.__version__}", f"Keras {keras.__version__}"]
answers.write(json.dumps({"found": found, "versions": versions}) + "\n")
