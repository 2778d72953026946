"""Hyperopt's TPE, with conditions as nested choices. A diverged trial is told as failed."""

import math
from importlib.metadata import version as version_of

import numpy as np
from hyperopt import STATUS_FAIL, STATUS_OK, Trials, hp, space_eval, tpe
from hyperopt.base import JOB_STATE_DONE, Domain
from hyperopt.pyll import scope


class Tuner:
    def __init__(self, space, kind, seed, evaluations):
        self.plain = space
        self.space = branch(space, None, None)
        self.domain = Domain(lambda configuration: 0.0, self.space)
        self.trials = Trials()
        self.draws = np.random.default_rng(seed)
        self.document = None

    def ask(self):
        ids = self.trials.new_trial_ids(1)
        self.trials.refresh()
        seed = int(self.draws.integers(2**31 - 1))
        (self.document,) = tpe.suggest(ids, self.domain, self.trials, seed)
        chosen = {k: v[0] for k, v in self.document["misc"]["vals"].items() if v}
        return flat(space_eval(self.space, chosen))

    def tell(self, loss):
        status = {"status": STATUS_FAIL} if loss is None else {"status": STATUS_OK, "loss": loss}
        self.document.update(result=status, state=JOB_STATE_DONE)
        self.trials.insert_trial_docs([self.document])
        self.trials.refresh()

    def fill(self, trials):
        documents = []
        ids = self.trials.new_trial_ids(len(trials))
        for number, (configuration, loss) in zip(ids, trials, strict=True):
            vals = {p["name"]: place(p, configuration) for p in self.plain}
            misc = {
                "tid": number,
                "cmd": self.domain.cmd,
                "workdir": None,
                "vals": vals,
                "idxs": {name: [number] * len(v) for name, v in vals.items()},
            }
            result = (
                {"status": STATUS_FAIL} if loss is None else {"status": STATUS_OK, "loss": loss}
            )
            documents += self.trials.new_trial_docs([number], [None], [result], [misc])
            documents[-1]["state"] = JOB_STATE_DONE
        self.trials.insert_trial_docs(documents)
        self.trials.refresh()


def branch(space, parent, value):
    """Return the hyperparameters that exist where *parent* has *value*."""
    own = {}
    for p in space:
        rule = p["condition"]
        here = rule is None if parent is None else rule and rule["name"] == parent
        if here and (rule is None or value in rule["values"]):
            own[p["name"]] = expression(space, p)
    return own


def expression(space, p):
    name, low, high = p["name"], p.get("low"), p.get("high")
    if p["kind"] == "choice":
        return hp.choice(name, [{"=": o, "+": branch(space, name, o)} for o in p["options"]])
    if p["kind"] == "int" and p["log"]:
        return scope.int(hp.qloguniform(name, math.log(low), math.log(high), 1))
    if p["kind"] == "int":
        return hp.uniformint(name, low, high)
    if p["log"]:
        return hp.loguniform(name, math.log(low), math.log(high))
    return hp.uniform(name, low, high)


def flat(nested):
    configuration = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            configuration[name] = value["="]
            configuration.update(flat(value["+"]))
        else:
            configuration[name] = value
    return configuration


def place(p, configuration):
    """Return what Hyperopt stores for a value: the number, or which option it is; nothing when off."""
    if p["name"] not in configuration:
        return []
    value = configuration[p["name"]]
    return [p["options"].index(value) if p["kind"] == "choice" else value]


def version():
    return f"Hyperopt {version_of('hyperopt')}"
