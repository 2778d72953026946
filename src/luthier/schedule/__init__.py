"""Schedulers, one file each: they decide who trains, for how long, and who is abandoned."""

from __future__ import annotations

from luthier.schedule.full import Full
from luthier.schedule.hyperband import Hyperband
from luthier.schedule.median import MedianStopping
from luthier.schedule.successive_halving import SuccessiveHalving
from luthier.study.protocols import Scheduler

SCHEDULERS: dict[str, type[Scheduler]] = {
    "none": Full,
    "median": MedianStopping,
    "successive halving": SuccessiveHalving,
    "hyperband": Hyperband,
}

__all__ = ["SCHEDULERS", "Full", "Hyperband", "MedianStopping", "SuccessiveHalving"]
