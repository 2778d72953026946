"""Ax, with its own choice of method and with conditions. A diverged trial is marked failed."""

import logging
import random

import ax
import numpy as np
import torch
from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

logging.getLogger("ax").setLevel(logging.ERROR)
TYPES = {str: "str", bool: "bool", int: "int", float: "float"}


class Tuner:
    def __init__(self, space, kind, seed, evaluations):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.client = Client()
        self.client.configure_experiment([parameter(space, p) for p in space])
        self.client.configure_optimization("-loss")
        self.client.configure_generation_strategy(initialization_random_seed=seed)
        self.trial = None

    def ask(self):
        ((self.trial, configuration),) = self.client.get_next_trials(max_trials=1).items()
        return dict(configuration)

    def tell(self, loss):
        if loss is None:
            self.client.mark_trial_failed(self.trial)
        else:
            self.client.complete_trial(self.trial, {"loss": loss})

    def fill(self, trials):
        for configuration, loss in trials:
            self.trial = self.client.attach_trial(configuration)
            self.tell(loss)


def parameter(space, p):
    if p["kind"] != "choice":
        scaling = "log" if p["log"] else "linear"
        return RangeParameterConfig(p["name"], (p["low"], p["high"]), p["kind"], scaling=scaling)
    opened = {o: children(space, p["name"], o) for o in p["options"]}
    return ChoiceParameterConfig(
        p["name"],
        p["options"],
        TYPES[type(p["options"][0])],
        is_ordered=False,
        dependent_parameters={o: names for o, names in opened.items() if names} or None,
    )


def children(space, parent, option):
    """Return the hyperparameters that *option* of *parent* switches on."""
    return [
        p["name"]
        for p in space
        if p["condition"]
        and p["condition"]["name"] == parent
        and option in p["condition"]["values"]
    ]


def version():
    return f"Ax {ax.__version__}"
