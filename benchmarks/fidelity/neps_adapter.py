"""NePS's Hyperband and PriorBand, by its ``AskAndTell``.

A promoted configuration goes on from its checkpoint: NePS names the trial it goes on from
(``previous_trial_id``), whose folder its documented multi-fidelity example loads the checkpoint from
(``previous_pipeline_directory``). PriorBand runs as it comes, without priors: it then draws uniformly and
around the best configuration. A trial that diverges is told as an exception, which NePS never promotes.
NePS takes no seed: PyTorch's, NumPy's and Python's own are set. It never waits: when all brackets
do, it opens another. Its ifBO is left out: ``ifbo/download.py`` takes the weights from figshare.
"""

import logging
import random
from importlib.metadata import version as version_of

import neps
import numpy as np
import torch
from neps import algorithms

from fidelity import Job

logging.getLogger("neps").setLevel(logging.ERROR)
torch.set_num_threads(1)

KINDS = {"hyperband": algorithms.hyperband, "priorband": algorithms.priorband}
FIDELITY = "neps_fidelity"


class Tuner:
    def __init__(self, kind, setting):
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(setting.seed)
        entries = {p["name"]: parameter(p) for p in setting.space}
        entries[FIDELITY] = neps.IntegerFidelity(lower=1, upper=setting.epochs)
        space = type("Space", (neps.PipelineSpace,), entries)()
        self.neps = neps.AskAndTell(KINDS[kind](space))
        self.jobs = {}

    def ask(self):
        trial = self.neps.ask()
        configuration = dict(trial.config)
        to_step = int(configuration.pop(FIDELITY))
        number = int(trial.metadata.id.partition("_")[0])
        before = self.neps.trials.get(trial.metadata.previous_trial_id)
        from_step = int(before.config[FIDELITY]) if before else 0
        self.jobs[number] = trial
        return Job(number, configuration, from_step, to_step)

    def report(self, number, step, loss):
        trial = self.jobs[number]
        if loss is not None and step < trial.config[FIDELITY]:
            return True
        self.neps.tell(trial, ArithmeticError("diverged") if loss is None else loss)
        del self.jobs[number]
        return False


def parameter(p):
    if p["condition"]:
        raise ValueError(f"NePS has no plain conditions, as {p['name']} has.")
    if p["kind"] == "choice":
        return neps.Categorical(choices=tuple(p["options"]))
    make = neps.Integer if p["kind"] == "int" else neps.Float
    return make(lower=p["low"], upper=p["high"], log=p["log"])


def version():
    return f"NePS {version_of('neural-pipeline-search')}"
