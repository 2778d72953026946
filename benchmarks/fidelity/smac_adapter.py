"""SMAC3's multi-fidelity facade (Hyperband, random forest), by ask and tell.

Every trial trains from its beginning, so a promoted configuration is charged for its epochs again: a
target function is told a budget and no checkpoint, and SMAC's own example of epochs (``examples/
2_multi_fidelity/1_mlp_epochs.py``) fits a new net for ``int(ceil(budget))`` of them. The number of trials,
a quarter of which may go to the initial design, is what SMAC's arithmetic makes of the epochs. A trial
that diverges is told as crashed with the worst cost so far; those before any cost, together with the
first one. SMAC never waits: when no trial can be promoted yet, it opens the next bracket.
"""

import math
import tempfile
from pathlib import Path

import smac
from peers.configuration_space import configuration_space
from peers.smac_adapter import version
from smac.intensifier.hyperband_utils import get_n_trials_for_hyperband_multifidelity
from smac.runhistory.dataclasses import TrialValue
from smac.runhistory.enumerations import StatusType

from fidelity import Job

__all__ = ["Tuner", "version"]

ROUNDING = 1e-6  # a power of eta may come out a little more than whole


class Tuner:
    def __init__(self, kind, setting):
        self.folder = tempfile.TemporaryDirectory(prefix="smac-")
        scenario = smac.Scenario(
            configuration_space(setting.space, setting.seed),
            deterministic=True,
            n_trials=get_n_trials_for_hyperband_multifidelity(
                total_budget=setting.budget,
                min_budget=1,
                max_budget=setting.epochs,
                print_summary=False,
            ),
            min_budget=1,
            max_budget=setting.epochs,
            seed=setting.seed,
            output_directory=Path(self.folder.name),
        )
        self.smac = smac.MultiFidelityFacade(
            scenario,
            lambda configuration, seed=0, budget=0: 0.0,
            overwrite=True,
            logging_level=False,
        )
        self.trials, self.asked = {}, 0
        self.worst, self.untold = None, []

    def ask(self):
        try:
            trial = self.smac.ask()
        except StopIteration:  # it finds no further configuration
            return "wait" if self.trials else "done"
        number, self.asked = self.asked, self.asked + 1
        self.trials[number] = trial
        return Job(number, dict(trial.config), 0, epochs(trial))

    def report(self, number, step, loss):
        trial = self.trials[number]
        if loss is not None and step < epochs(trial):
            return True
        del self.trials[number]
        if loss is None:
            self.untold.append(trial)
        else:
            self.worst = loss if self.worst is None else max(self.worst, loss)
            self.smac.tell(trial, TrialValue(cost=loss), save=False)
        while self.untold and self.worst is not None:
            crashed = TrialValue(cost=self.worst, status=StatusType.CRASHED)
            self.smac.tell(self.untold.pop(0), crashed, save=False)
        return False


def epochs(trial):
    return math.ceil(trial.budget - ROUNDING)
