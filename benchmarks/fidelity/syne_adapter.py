"""Syne Tune's ASHA and BOHB, driven through its scheduler as its own ``Tuner`` does.

Both are of the stopping kind, the only one that version 0.16 has (``schedulers/asha.py``: a trial
continues or stops and never pauses), so nothing is trained twice. They report after every epoch and never
wait. A trial that diverges is told as failed. Both draw partly from NumPy's global state, which is
seeded. Told of a log scale, the densities of BOHB are still over the plain values
(``kde_searcher.py: _to_feature``).
"""

from datetime import datetime
from importlib.metadata import version as version_of

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHA, BOHB
from syne_tune.optimizer.scheduler import SchedulerDecision

from fidelity import Job

KINDS = {"asha": ASHA, "bohb": BOHB}


class Tuner:
    def __init__(self, kind, setting):
        np.random.seed(setting.seed)
        self.names, self.epochs = [p["name"] for p in setting.space], setting.epochs
        self.scheduler = KINDS[kind](
            config_space={p["name"]: domain(p) for p in setting.space},
            metric="loss",
            time_attr="epoch",
            max_t=setting.epochs,
            random_seed=setting.seed,
        )
        self.trials, self.asked = {}, 0

    def ask(self):
        suggestion = self.scheduler.suggest()
        if suggestion is None:
            return "wait" if self.trials else "done"
        number, self.asked = self.asked, self.asked + 1
        trial = Trial(number, suggestion.config, datetime.now())
        self.trials[number] = trial
        self.scheduler.on_trial_add(trial)
        return Job(number, {name: trial.config[name] for name in self.names}, 0, self.epochs)

    def report(self, number, step, loss):
        trial = self.trials[number]
        if loss is None:
            self.scheduler.on_trial_error(trial)
        else:
            decision = self.scheduler.on_trial_result(trial, {"loss": loss, "epoch": step})
            if decision == SchedulerDecision.CONTINUE:
                return True
            self.scheduler.on_trial_remove(trial)
        del self.trials[number]
        return False


def domain(p):
    if p["condition"]:
        raise ValueError(f"Syne Tune has no conditions, as {p['name']} has.")
    if p["kind"] == "choice":
        return choice(p["options"])
    if p["kind"] == "int":
        return (lograndint if p["log"] else randint)(p["low"], p["high"])
    return (loguniform if p["log"] else uniform)(p["low"], p["high"])


def version():
    return f"Syne Tune {version_of('syne-tune')}"
