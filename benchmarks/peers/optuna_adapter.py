"""Optuna, define by run, so that its samplers see the conditions.

A diverged trial is told as failed, which is what Optuna makes of NaN; its samplers leave such trials out.
"tpe pruned" tells it as pruned instead, which TPE counts among the worst.
"""

import optuna
from optuna.trial import TrialState

optuna.logging.set_verbosity(optuna.logging.ERROR)

SAMPLERS = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "tpe pruned": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "tpe multivariate": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True
    ),
    "tpe univariate": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=False),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "cma-es": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
}


class Tuner:
    def __init__(self, space, kind, seed, evaluations):
        self.space = space
        self.study = optuna.create_study(direction="minimize", sampler=SAMPLERS[kind](seed))
        self.diverged = TrialState.PRUNED if kind.endswith("pruned") else TrialState.FAIL
        self.trial = None

    def ask(self):
        self.trial = self.study.ask()
        for p in self.space:
            rule = p["condition"]
            if rule is None or self.trial.params.get(rule["name"]) in rule["values"]:
                suggest(self.trial, p)
        return self.trial.params

    def tell(self, loss):
        if loss is None:
            self.study.tell(self.trial, state=self.diverged)
        else:
            self.study.tell(self.trial, loss)

    def fill(self, trials):
        domains = {p["name"]: domain(p) for p in self.space}
        for configuration, loss in trials:
            self.study.add_trial(
                optuna.trial.create_trial(
                    params=configuration,
                    distributions={name: domains[name] for name in configuration},
                    value=loss,
                    state=self.diverged if loss is None else TrialState.COMPLETE,
                )
            )


def suggest(trial, p):
    if p["kind"] == "choice":
        trial.suggest_categorical(p["name"], p["options"])
    elif p["kind"] == "int":
        trial.suggest_int(p["name"], p["low"], p["high"], log=p["log"])
    else:
        trial.suggest_float(p["name"], p["low"], p["high"], log=p["log"])


def domain(p):
    if p["kind"] == "choice":
        return optuna.distributions.CategoricalDistribution(p["options"])
    if p["kind"] == "int":
        return optuna.distributions.IntDistribution(p["low"], p["high"], log=p["log"])
    return optuna.distributions.FloatDistribution(p["low"], p["high"], log=p["log"])


def version():
    return f"Optuna {optuna.__version__}"
