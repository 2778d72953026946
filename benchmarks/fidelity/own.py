"""Luthier itself, through the simulation that it ships: its own study, searcher, scheduler and log."""

from __future__ import annotations

from typing import Any

from peers.luthier_tuner import domain

import luthier
from fidelity import AUTO, OWN, Setting
from fidelity.curves import Curves, pace
from fidelity.meter import Meter
from luthier.run.simulation import simulate
from luthier.schedule import SCHEDULERS
from luthier.study.chance import Chance

DECIDING = ("search", "schedule", "space")  # a run of other code there is done again


def perform(name: str, setting: Setting, curves: Curves, meter: Meter) -> dict[str, Any]:
    """Run a study of *setting.budget* epochs; return what is known of it besides the meter's counts."""
    scheduler, searcher = parts(name)

    def loss(configuration: dict[str, Any], step: int) -> float:
        value = float(curves.of(configuration)[step - 1])
        meter.trained(value)
        return value

    def seconds(configuration: dict[str, Any], step: int, chance: Chance) -> float:
        return 1.0 if setting.workers == 1 else pace(configuration)

    run = simulate(
        loss,
        {p["name"]: domain(p) for p in setting.space},
        minimize="loss",
        workers=setting.workers,
        searcher=searcher,
        scheduler=scheduler,
        epochs=setting.epochs,
        max_epochs=setting.budget,
        epoch_seconds=seconds,
        seed=setting.seed,
    )
    return {"trials": len(run.study.trials), "time": run.seconds, "idle": run.idle}


def parts(name: str) -> tuple[str, str | None]:
    """Return the scheduler and the searcher of ``luthier-...``; the default is what "auto" picks."""
    if name == AUTO:
        return ("auto" if "auto" in SCHEDULERS else "freeze thaw"), None
    scheduler, _, searcher = name.removeprefix(OWN).partition("+")
    return scheduler, searcher


def version() -> str:
    return f"Luthier {luthier.__version__}"
