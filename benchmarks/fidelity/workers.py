"""Simulated workers on a virtual clock, for tuners that are asked for jobs."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

from fidelity import Job, Tuner
from fidelity.curves import Curves, pace
from fidelity.meter import Meter


@dataclass
class Crew:
    """Workers that train what *tuner* says, an epoch at a time, until *budget* epochs are trained.

    Attributes:
        now: the virtual time; an epoch takes 1 with one worker, else the configuration's pace.
        trials: how many were begun.
        idle_time: of all workers together, waiting for others' results.
    """

    tuner: Tuner
    curves: Curves
    meter: Meter
    workers: int
    budget: int
    now: float = 0.0
    idle_time: float = 0.0
    trials: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        self.queue = [(0.0, worker, worker) for worker in range(self.workers)]
        self.order = self.workers
        self.training: dict[int, tuple[Job, int]] = {}  # and the epochs trained so far
        self.idle: dict[int, float] = {}  # since when

    def work(self) -> None:
        """Train until the budget is spent, or nobody has anything to do."""
        while self.queue and self.meter.epochs < self.budget:
            self.now, _, worker = heapq.heappop(self.queue)
            if worker in self.training:
                self.end_epoch(worker)
            else:
                self.begin_job(worker)
        self.wake()

    def begin_job(self, worker: int) -> None:
        answer = self.tuner.ask()
        if isinstance(answer, Job):
            self.trials.add(answer.trial)
            self.training[worker] = answer, answer.from_step
            self.next_epoch(worker, answer)
        else:
            self.idle[worker] = self.now

    def end_epoch(self, worker: int) -> None:
        job, step = self.training.pop(worker)
        step += 1
        loss = float(self.curves.of(job.configuration)[step - 1])
        self.meter.trained(loss)
        told = None if math.isnan(loss) else loss
        goes_on = self.tuner.report(job.trial, step, told)
        if goes_on and told is not None and step < job.to_step:
            self.training[worker] = job, step
            self.next_epoch(worker, job)
        else:
            self.at(self.now, worker)
            self.wake()

    def next_epoch(self, worker: int, job: Job) -> None:
        self.at(self.now + (1.0 if self.workers == 1 else pace(job.configuration)), worker)

    def at(self, when: float, worker: int) -> None:
        heapq.heappush(self.queue, (when, self.order, worker))
        self.order += 1

    def wake(self) -> None:
        """Let idle workers ask again."""
        for worker, since in self.idle.items():
            self.idle_time += self.now - since
            self.at(self.now, worker)
        self.idle.clear()
