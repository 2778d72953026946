"""Several trials in one process: an epoch of each at a time, together or beside each other.

Each trial is trained by a generator that stands still wherever an epoch is due. All that are due are run
together, so that they can share a program; or each is begun when it is due, and while it runs others report,
write their checkpoints and hear their verdicts, in turns: the order of events hangs on no trial's speed.
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

Wait = Callable[[], Exception | None]  # until an epoch is over; returns what it raised


class Abreast(Protocol):
    """Training code that can run epochs of several trials together."""

    def abreast(self, study: Study, due: Sequence[Any], /) -> int:
        """Return how many trials of *study* should be under way, when these epochs are *due*."""
        ...

    def begin(self, trial: Trial, /) -> Generator[Any]:
        """Train *trial*, but for its epochs: yield each for the caller to have it run."""
        ...

    def started(self, turn: Any, /) -> Wait | None:
        """Have an epoch run beside others, and return what waits for it; None: all due run together."""
        ...

    def together(self, turns: Sequence[Any], /) -> list[Exception | None]:
        """Run what several trials have yielded, and return what each has raised by itself.

        Raises:
            Exception: what went wrong with all of them.
        """
        ...


@dataclass
class _Lane:
    trial: Trial
    turns: Generator[Any]
    due: Any = None
    over: Wait | None = None


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
    begun = 0
    try:
        while True:
            while len(lanes) < _wanted(study, train, lanes):
                if begun and enough is not None and enough():
                    break
                job = study.next_job()
                if not isinstance(job, Job):
                    break
                _begin(study, train, job, lanes)
                begun += 1
            if not lanes:
                return
            before = len(lanes)
            _go_on(study, train, lanes)
            if len(lanes) < before:
                study.checkpoints.collect(study.refresh())
    except BaseException as error:
        for lane in lanes:
            lane.turns.close()
            if not lane.trial.closed:
                study.release(lane.trial, type(error).__name__)
        raise


def _wanted(study: Study, train: Abreast, lanes: Sequence[_Lane]) -> int:
    """Return how many trials should be under way; 0 where no other one should be begun beside these."""
    if any(study.history.trials[lane.trial.number].fruitless for lane in lanes):
        return 0  # its worker died before: if it was the trial's fault, no other one is to suffer for it
    wanted = train.abreast(study, [lane.due for lane in lanes])
    return wanted if wanted > 1 else 0


def _go_on(study: Study, train: Abreast, lanes: list[_Lane]) -> None:
    """Wait for an epoch of the first in the row, or run one of all together; let them report."""
    now = lanes[:1] if lanes[0].over else list(lanes)
    with interrupts.through():
        if (over := lanes[0].over) is not None:
            errors = [over()]
        else:
            errors = train.together([lane.due for lane in lanes])
    del over
    while now:
        _advance(study, train, now.pop(0), lanes, errors.pop(0))


def _begin(study: Study, train: Abreast, job: Job, lanes: list[_Lane]) -> None:
    trial = Trial(study, job)
    seed_everything(trial.seed)
    lane = _Lane(trial, train.begin(trial))
    lanes.append(lane)
    _advance(study, train, lane, lanes)


def _advance(
    study: Study,
    train: Abreast,
    lane: _Lane,
    lanes: list[_Lane],
    error: Exception | None = None,
) -> None:
    """Let a trial come to its next epoch, with what its last one raised; take it out when it has ended.

    It is the last one in the row then.
    """
    going_on = False
    lanes.append(lanes.pop(lanes.index(lane)))
    lane.due = lane.over = None  # what they hold of a model that ends goes with it
    try:
        with recorded(study, lane.trial):
            with interrupts.through():
                lane.due = lane.turns.throw(error) if error is not None else next(lane.turns, None)
            if lane.due is None:
                conclude(study, lane.trial, None)
            else:
                with interrupts.through():
                    lane.over = train.started(lane.due)
            going_on = lane.due is not None
    finally:
        if not going_on:
            lane.turns.close()
            lane.trial.closed = True
            lanes.remove(lane)
            collect_if_due()
