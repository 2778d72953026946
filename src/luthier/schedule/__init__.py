"""Schedulers, one file each: they decide who trains, for how long, and who is abandoned."""

from __future__ import annotations

from luthier.schedule.asha import ASHA
from luthier.schedule.auto import Auto
from luthier.schedule.bohb import BOHB
from luthier.schedule.dehb import DEHB
from luthier.schedule.freeze_thaw import FreezeThaw
from luthier.schedule.full import Full
from luthier.schedule.hyperband import Hyperband
from luthier.schedule.median import MedianStopping
from luthier.schedule.pasha import PASHA
from luthier.schedule.patience import Patience
from luthier.schedule.population import PopulationBasedTraining, Replay
from luthier.schedule.significance import Significance
from luthier.schedule.successive_halving import SuccessiveHalving
from luthier.study.protocols import Scheduler

SCHEDULERS: dict[str, type[Scheduler]] = {
    "auto": Auto,
    "none": Full,
    "median": MedianStopping,
    "patience": Patience,
    "significance": Significance,
    "successive halving": SuccessiveHalving,
    "hyperband": Hyperband,
    "asha": ASHA,
    "pasha": PASHA,
    "freeze thaw": FreezeThaw,
    "bohb": BOHB,
    "dehb": DEHB,
    "population": PopulationBasedTraining,
    "replay": Replay,
}

__all__ = [
    "ASHA",
    "BOHB",
    "DEHB",
    "PASHA",
    "SCHEDULERS",
    "Auto",
    "FreezeThaw",
    "Full",
    "Hyperband",
    "MedianStopping",
    "Patience",
    "PopulationBasedTraining",
    "Replay",
    "Significance",
    "SuccessiveHalving",
]
