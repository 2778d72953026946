"""Luthier's end of ``fused.py``: one whole search, in compiled epochs or by Keras's ``fit``.

PYTHON fused_luthier.py data.npz '{"net": "mlp", "search": "random", "trials": 12, ...}'
"""

import json
import os
import sys
import tempfile
import time

begin = time.perf_counter()
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import keras  # noqa: E402
import numpy as np  # noqa: E402
from fused_nets import NETS  # noqa: E402

import luthier  # noqa: E402


def build(hp):
    return NETS[setting["net"]](
        lambda name, low, high: hp.float(name, low, high, scale="log"),
        lambda name, low, high: hp.float(name, low, high),
        lambda name, low, high, step: hp.int(name, low, high, step=step),
    )


data, setting = np.load(sys.argv[1]), json.loads(sys.argv[2])
pairs = (data["x"], data["y"]), (data["x_val"], data["y_val"])
if setting["search"] == "random":
    options = {"scheduler": None, "max_trials": setting["trials"]}
else:
    options = {"scheduler": "hyperband", "max_epochs": setting["budget"]}
with tempfile.TemporaryDirectory() as folder:
    result = luthier.keras.tune(
        build,
        pairs,
        epochs=setting["epochs"],
        batch_size=setting["batch_size"],
        searcher="random",
        seed=setting["seed"],
        storage=f"{folder}/luthier.db",
        fused=setting["fused"],
        name="fused",
        progress=False,
        **options,
    )
    found = {
        "seconds": time.perf_counter() - begin,
        "epochs": result.study.history.epochs,
        "trials": len(result.trials),
        "best": result.best_value,
    }
    trials = result.study.trials
    if setting["net"] == "mlp":
        found["units"] = [[t.configuration["units"], len(t.steps)] for t in trials]
if setting["fused"]:
    from luthier.train.fused import experience, programs

    found["compiled"] = programs.compiled_seconds
    widths = experience.experience.seconds.values()
    found["ms"] = [{w: round(1e3 * s, 1) for w, s in each.items()} for each in widths]
versions = [f"Luthier {luthier.__version__}", f"Keras {keras.__version__}"]
answers.write(json.dumps({**found, "versions": versions}) + "\n")
