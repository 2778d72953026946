"""One run: a tuner on a task, with simulated workers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from peers.luthier_tuner import source_digest
from peers.runs import Record

from fidelity import OWN, Setting, open_tuner, own
from fidelity.curves import Curves, catalogue
from fidelity.meter import Meter, OutOfTime
from fidelity.workers import Crew


class Run(NamedTuple):
    """One tuner on one task with one seed; *trainings* is its budget in full trainings."""

    task: str
    tuner: str
    seed: int
    workers: int
    trainings: int
    venvs: Path
    limit: float

    def path(self, cache: Path) -> Path:
        return cache / f"{self.task}__{self.tuner}__{self.workers}w__{self.seed}.json"

    @property
    def budget(self) -> tuple[str, int]:
        return "trainings", self.trainings


def digest() -> str:
    """Return that of Luthier's code on which a run depends."""
    return source_digest(*own.DECIDING)


def perform_one(run: Run) -> Record:
    """Return what a run found, or the error that ended it; what came before the error is kept."""
    task = catalogue()[0][run.task]
    budget = run.trainings * task.epochs
    setting = Setting(task.space, task.epochs, budget, run.workers, run.seed)
    curves, meter = Curves(task), Meter(run.limit)
    record: Record = {"trainings": run.trainings}
    if run.tuner.startswith(OWN):
        record |= {"source": digest(), "version": own.version()}
    try:
        if run.tuner.startswith(OWN):
            record |= own.perform(run.tuner, setting, curves, meter)
        else:
            record |= perform_asked(run, setting, curves, meter)
    except OutOfTime as error:
        record["stopped"] = str(error)
    except Exception as error:
        record["error"] = f"{type(error).__name__}: {error}"
    return record | meter.record()


def perform_asked(run: Run, setting: Setting, curves: Curves, meter: Meter) -> Record:
    tuner = open_tuner(run.tuner, setting, venvs=run.venvs, patience=run.limit)
    try:
        crew = Crew(tuner, curves, meter, setting.workers, setting.budget)
        crew.work()
        spent = crew.now * setting.workers
        return {
            "version": tuner.version,
            "seconds": tuner.seconds,
            "trials": len(crew.trials),
            "time": crew.now,
            "idle": crew.idle_time / spent if spent else 0.0,
        }
    finally:
        tuner.close()
