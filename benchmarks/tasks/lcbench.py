"""YAHPO Gym's surrogate of LCBench: 7 hyperparameters of an MLP on OpenML data sets, at 52 epochs.

The loss is 100 - validation accuracy, in percent. Pfisterer et al. 2022; Zimmer et al. 2021.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache, partial
from typing import Any

import numpy as np

from tasks import DATA, Configuration, Problem, Task, choice, number, whole

EPOCHS = 52
USUAL = ("3945", "126026", "167168", "189873", "189906")


def tasks() -> list[Task]:
    """Return one for each of the data sets.

    Raises:
        ImportError: onnxruntime is not installed.
        OSError: the surrogate is not in the data folder.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise ImportError("pip install onnxruntime")
    text = (DATA / "yahpo" / "lcbench" / "config_space.json").read_text()
    described = json.loads(text)["hyperparameters"]
    (sets,) = (p["choices"] for p in described if p["name"] == "OpenML_task_id")
    space = [parameter(p) for p in described if p["name"] not in ("OpenML_task_id", "epoch")]
    return [
        Task(f"lcbench-{name}", "lcbench", space, partial(problem, name), usual=name in USUAL)
        for name in sets
    ]


def parameter(p: dict[str, Any]) -> dict[str, Any]:
    if p["type"] == "categorical":
        return choice(p["name"], p["choices"])
    make = whole if p["type"] == "uniform_int" else number
    return make(p["name"], p["lower"], p["upper"], log=p["log"])


@cache
def surrogate():
    sys.path.insert(0, str(DATA / "yahpo"))
    from yahpo_mini import Yahpo

    return Yahpo("lcbench")


def losses(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the loss of each row: a configuration with its data set and epoch."""
    model = surrogate()
    return 100.0 - model(rows)[:, model.m["y"].index("val_accuracy")].astype(float)


def problem(name: str, seed: int) -> Problem:
    surrogate()  # now, not within the first evaluation

    def evaluate(configuration: Configuration) -> float:
        return float(losses([{**configuration, "OpenML_task_id": name, "epoch": EPOCHS}])[0])

    return Problem(evaluate)
