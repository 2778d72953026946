"""SMAC3's facade for hyperparameters (random forest). A diverged trial is told as crashed.

It is told with the worst cost so far: with an infinite one, SMAC's own default, its forest fails.
"""

import tempfile
from importlib.metadata import version as version_of
from pathlib import Path

import smac
from ConfigSpace import Configuration
from smac.runhistory.dataclasses import TrialInfo, TrialValue
from smac.runhistory.enumerations import StatusType

from peers.configuration_space import configuration_space

FACADES = {"forest": smac.HyperparameterOptimizationFacade, "gp": smac.BlackBoxFacade}


class Tuner:
    def __init__(self, space, kind, seed, evaluations):
        self.folder = tempfile.TemporaryDirectory(prefix="smac-")
        self.space = configuration_space(space, seed)
        scenario = smac.Scenario(
            self.space,
            deterministic=True,
            n_trials=evaluations,
            seed=seed,
            output_directory=Path(self.folder.name),
        )
        self.scenario, self.facade = scenario, FACADES[kind]
        self.smac = self.made()
        self.trial = self.worst = None

    def made(self, **options):
        return self.facade(
            self.scenario,
            lambda configuration, seed=0: 0.0,
            overwrite=True,
            logging_level=False,
            **options,
        )

    def ask(self):
        self.trial = self.smac.ask()
        return dict(self.trial.config)

    def tell(self, loss):
        self.smac.tell(self.trial, self.outcome(loss), save=False)

    def fill(self, trials):
        """Tell of trials, which stand in for the initial design: else it would still come next."""
        design = self.facade.get_initial_design(self.scenario, n_configs=0)
        self.smac = self.made(initial_design=design)
        for configuration, loss in trials:
            info = TrialInfo(Configuration(self.space, values=configuration), seed=0)
            self.smac.tell(info, self.outcome(loss), save=False)

    def outcome(self, loss):
        if loss is None:
            worst = 1.0 if self.worst is None else self.worst
            return TrialValue(cost=worst, status=StatusType.CRASHED)
        self.worst = loss if self.worst is None else max(self.worst, loss)
        return TrialValue(cost=loss)


def version():
    return f"SMAC3 {version_of('smac')}"
