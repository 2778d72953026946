"""A scheduler that pauses each trial where a test wants it to, and the loop that drives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luthier.run.opening import open_study
from luthier.run.worker import run_job
from luthier.schedule import SCHEDULERS
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    PAUSE,
    Bracket,
    Done,
    Plan,
    Resume,
    Rung,
    Start,
    Wait,
)
from luthier.study.study import Job


@dataclass(frozen=True)
class Pausing:
    """Trains *trials* trials in turns, each up to every epoch of *stops*."""

    stops: Sequence[int] = (1, 3, 5, 6)
    trials: int = 1
    promotes = True

    def plan(self, limits):
        return Plan((Bracket(0, "pausing", (Rung(self.trials, self.stops[-1]),)),))

    def next(self, history, limits):
        if len(history.trials) < self.trials:
            return Start(self.stops[0])
        if history.paused:
            trial = min(history.paused.values(), key=lambda t: (t.step, t.number))
            return Resume(trial.number, min(s for s in self.stops if s > trial.step))
        return Wait() if history.active else Done("every trial is at its last stop")

    def judge(self, history, trial):
        if trial.step < trial.to_step:
            return GO_ON
        return COMPLETE if trial.step >= self.stops[-1] else PAUSE

    def dropped(self, history, limits):
        return []


def run(train, folder, stops=(1, 3, 5, 6), *, jobs=1_000, space=None, trials=1, **options):
    """Run *jobs* jobs of the study in *folder*, made when *space* is given, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    SCHEDULERS["pausing"] = Pausing
    try:
        if space is not None:
            options = {"maximize": "val_accuracy", "scheduler": Pausing(stops, trials), **options}
        study = open_study("pausing", space, storage=folder / "luthier.db", **options)
    finally:
        del SCHEDULERS["pausing"]
    for _ in range(jobs):
        job = study.next_job()
        if not isinstance(job, Job):
            break
        run_job(study, job, train)
    return study


def curves(study):
    """Return every reported number of every trial."""
    return [list(zip(t.steps, t.metrics, strict=True)) for t in study.trials]
