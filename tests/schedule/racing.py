"""Studies to race in: a function whose luck is its seed's, simulated or in place of training."""

from __future__ import annotations

import random

from driving import save

import luthier as lt
from luthier.run.simulation import simulate
from luthier.schedule import SCHEDULERS
from luthier.space import Float, Space

UNIT = Space(x=Float(0.0, 1.0))


def noisy(configuration, step, seed):
    """The nearer x is to 0.3 the better; the seed moves a whole run by up to 0.02."""
    luck = random.Random(f"{configuration['x']} {seed}").uniform(-0.02, 0.02)
    return abs(configuration["x"] - 0.3) + 1 / step + luck


def raced(scheduler="hyperband", workers=3, **options):
    options = {"finalists": 3, "repetitions": 5, "max_trials": 12, "epochs": 9, **options}
    own = getattr(SCHEDULERS[scheduler], "searcher", "random")
    return simulate(
        noisy, UNIT, minimize="loss", workers=workers, scheduler=scheduler, searcher=own, **options
    )


def train(trial):
    for epoch in trial.epochs(save=save, restore=save):
        trial.report(loss=noisy(trial.configuration, epoch + 1, trial.seed))


def tune(path, **options):
    options = {"epochs": 2, "max_trials": 8, "searcher": "random", **options}
    return lt.tune(
        train, UNIT, minimize="loss", name="s", storage=path / "s.db", progress=False, **options
    )
