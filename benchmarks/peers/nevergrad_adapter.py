"""Nevergrad's NGOpt, conditions left out. A diverged trial is told as infinity, which it clips."""

import nevergrad as ng


class Tuner:
    def __init__(self, space, kind, seed, evaluations):
        space = ng.p.Dict(**{p["name"]: parameter(p) for p in space})
        space.random_state.seed(seed)
        self.optimizer = ng.optimizers.registry[kind](parametrization=space, budget=evaluations)
        self.candidate = None

    def ask(self):
        self.candidate = self.optimizer.ask()
        return dict(self.candidate.value)

    def tell(self, loss):
        self.optimizer.tell(self.candidate, float("inf") if loss is None else loss)

    def fill(self, trials):
        for configuration, loss in trials:
            self.candidate = self.optimizer.parametrization.spawn_child(configuration)
            self.tell(loss)


def parameter(p):
    if p["kind"] == "choice":
        return ng.p.Choice(p["options"])
    if p["log"]:
        made = ng.p.Log(lower=p["low"], upper=p["high"])
    else:
        made = ng.p.Scalar(lower=p["low"], upper=p["high"])
    return made.set_integer_casting() if p["kind"] == "int" else made


def version():
    return f"Nevergrad {ng.__version__}"
