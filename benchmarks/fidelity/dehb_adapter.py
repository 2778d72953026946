"""DEHB's ask and tell: Hyperband's rungs from one epoch on, bred by differential evolution.

Every job trains from its beginning, so a promoted configuration is charged for its epochs again: DEHB
hands on no checkpoint ("DEHB currently doesn't support such a feature", its issue 13; in 0.1.2 the
repository of configurations still has a method that "might be used later in order to allow for
continuation"). Its fidelities are not whole: ``int`` of them are trained, as in its own example of
epochs (``examples/03_pytorch_mnist_hpo.py``). A job that diverges is told with a loss that is worse
than any other; DEHB has no failed state and only compares losses. It never waits: when all brackets do,
it opens another.
"""

import tempfile
from importlib.metadata import version as version_of

from dehb import DEHB
from peers.configuration_space import configuration_space

from fidelity import Job

DIVERGED = 1e12
ROUNDING = 1e-6  # a power of eta may come out a little less than whole


class Tuner:
    def __init__(self, kind, setting):
        self.folder = tempfile.TemporaryDirectory(prefix="dehb-")
        space = configuration_space(setting.space, setting.seed)
        self.dehb = DEHB(
            cs=space,
            dimensions=len(space),
            min_fidelity=1,
            max_fidelity=setting.epochs,
            seed=setting.seed,
            n_workers=1,  # of its own, which ask and tell never use
            save_freq="end",
            output_path=self.folder.name,
        )
        self.jobs, self.asked = {}, 0

    def ask(self):
        number, self.asked = self.asked, self.asked + 1
        self.jobs[number] = job = self.dehb.ask()
        return Job(number, dict(job["config"]), 0, epochs(job))

    def report(self, number, step, loss):
        job = self.jobs[number]
        if loss is not None and step < epochs(job):
            return True
        fitness = DIVERGED if loss is None else loss
        self.dehb.tell(job, {"fitness": fitness, "cost": step})
        del self.jobs[number]
        return False


def epochs(job):
    return int(job["fidelity"] + ROUNDING)


def version():
    return f"DEHB {version_of('DEHB')}"
