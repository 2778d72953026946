"""Several trials in one process: an epoch of each at a time, so that they can share a program.

Each trial is trained by a generator that stands still wherever an epoch is due. All that are due are
run together; then each trial reports, writes its checkpoint and hears its verdict as it always does.
A trial that has ended leaves its place to the next job, a new one or one that its scheduler promotes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from luthier.run.garbage import collect_if_due
from luthier.run.recording import conclude, recorded
from luthier.run.seeding import seed_everything
from luthier.study import interrupts
from luthier.study.deciding import Job
from luthier.study.study import Study
from luthier.study.trial import Trial


class Abreast(Protocol):
    """Training code that can run epochs of several trials together."""

    @property
    def abreast(self) -> int:
        """Return how many trials should be under way."""
        ...

    def begin(self, trial: Trial, /) -> Generator[Any]:
        """Train *trial*, but for its epochs: yield each for the caller to have it run."""
        ...

    def together(self, turns: Sequence[Any], /) -> None:
        """Run what several trials have yielded."""
        ...


@dataclass
class _Lane:
    trial: Trial
    turns: Generator[Any]
    due: Any = None


def train_abreast(study: Study, train: Abreast, enough: Callable[[], bool] | None = None) -> None:
    """Train as many trials together as *train* likes, until there is none left to begin.

    Args:
        study: where the jobs come from and the reports go.
        train: the training code.
        enough: asked before a trial is begun; True begins no more.

    Raises:
        Exception: what a trial's training code raised; the others are given back first.
        KeyboardInterrupt: all are given back.
    """
    lanes: list[_Lane] = []
    try:
        while True:
            while len(lanes) < max(train.abreast, 2) and not (enough is not None and enough()):
                job = study.next_job()
                if not isinstance(job, Job):
                    break
                _begin(study, train, job, lanes)
            if not lanes:
                return
            with interrupts.through():
                train.together([lane.due for lane in lanes])
            for lane in list(lanes):
                _advance(study, lane, lanes)
            study.checkpoints.collect(study.refresh())
            if train.abreast < 2:
                enough = _always
    except BaseException as error:
        for lane in lanes:
            lane.turns.close()
            if not lane.trial.closed:
                study.release(lane.trial, type(error).__name__)
        raise


def _always() -> bool:
    return True


def _begin(study: Study, train: Abreast, job: Job, lanes: list[_Lane]) -> None:
    trial = Trial(study, job)
    seed_everything(trial.seed)
    lane = _Lane(trial, train.begin(trial))
    lanes.append(lane)
    _advance(study, lane, lanes)


def _advance(study: Study, lane: _Lane, lanes: list[_Lane]) -> None:
    """Let a trial come to its next epoch; take it out when it has ended."""
    going_on = False
    try:
        with recorded(study, lane.trial):
            with interrupts.through():
                lane.due = next(lane.turns, None)
            if lane.due is None:
                conclude(study, lane.trial, None)
            going_on = lane.due is not None
    finally:
        if not going_on:
            lane.trial.closed = True
            lanes.remove(lane)
            collect_if_due()
