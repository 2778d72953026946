"""Drives a real study through its jobs with a function in place of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luthier.run.opening import open_study
from luthier.run.worker import work
from luthier.space import Float, Space
from luthier.study.protocols import Done, Scheduler, Wait
from luthier.study.study import Job, Study
from luthier.study.trial import Trial

UNIT = Space(x=Float(0.0, 1.0))


def study_of(scheduler: Scheduler | str | None, path: Any, **options: Any) -> Study:
    options = {"searcher": "random", **options}
    return open_study(
        "s", UNIT, minimize="loss", scheduler=scheduler, storage=path / "s.db", **options
    )


def save(folder: Any) -> None:
    """Keep nothing: these trainings remember nothing."""


def run(study: Study, loss: Callable[[dict[str, Any], int], float]) -> list[tuple[int, int, int]]:
    """Run every job; return (trial, from step, to step) in the order in which they ran."""
    trace: list[tuple[int, int, int]] = []

    def train(trial: Trial) -> None:
        trace.append((trial.number, trial.from_step, trial.to_step or 0))
        memory = {"step": 0}
        for epoch in trial.epochs(save=save, restore=save, every=1000):
            memory["step"] = epoch + 1
            trial.report(loss=loss(trial.configuration, epoch + 1))

    work(study, train)
    return trace


def simulate(
    study: Study, workers: int, loss: Callable[[dict[str, Any], int], float]
) -> list[tuple[int, int, int]]:
    """Run every job with simulated workers: job k of the running ones ends in turn, epochs at once.

    Returns (trial, from step, to step) in the order in which they began.
    One process plays all workers: each holds a job while the others take and finish theirs.
    """
    held: list[Job] = []
    trace: list[tuple[int, int, int]] = []
    while True:
        while len(held) < workers:
            job = study.next_job()
            if isinstance(job, Wait | Done):
                break
            held.append(job)
            trace.append((job.trial, job.from_step, job.to_step or 0))
        if not held:
            assert isinstance(study.next_job(), Done)
            return trace
        # The job that ends first is the one whose trial number hashes lowest: out of order, but
        # the same in every run.
        job = min(held, key=lambda j: (j.trial * 7919) % 101)
        held.remove(job)
        trial = Trial(study, job)
        for epoch in trial.epochs(save=save, restore=save, every=1000):
            trial.report(loss=loss(trial.configuration, epoch + 1))
