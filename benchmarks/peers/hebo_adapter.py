"""HEBO, conditions left out. A diverged trial is told as NaN, which it drops."""

import random
from importlib.metadata import version as version_of

import numpy as np
import pandas as pd
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO


class Tuner:
    def __init__(self, space, kind, seed, evaluations):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.space = space
        self.hebo = HEBO(DesignSpace().parse([parameter(p) for p in space]), scramble_seed=seed)
        self.frame = None

    def ask(self):
        self.frame = self.hebo.suggest(1)
        row = self.frame.iloc[0]
        casts = {"int": int, "float": float, "choice": lambda value: value}
        return {p["name"]: casts[p["kind"]](row[p["name"]]) for p in self.space}

    def tell(self, loss):
        self.hebo.observe(self.frame, np.array([[np.nan if loss is None else loss]]))

    def fill(self, trials):
        frame = pd.DataFrame([configuration for configuration, _ in trials])
        losses = [[np.nan if loss is None else loss] for _, loss in trials]
        self.hebo.observe(frame, np.array(losses))


def parameter(p):
    if p["kind"] == "choice":
        return {"name": p["name"], "type": "cat", "categories": p["options"]}
    kind = {
        ("int", False): "int",
        ("int", True): "pow_int",
        ("float", False): "num",
        ("float", True): "pow",
    }[p["kind"], p["log"]]
    return {"name": p["name"], "type": kind, "lb": p["low"], "ub": p["high"]}


def version():
    return f"HEBO {version_of('HEBO')}"
