"""The one loop in which every trial runs: take a job, train it, take the next."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, cast

from luthier.run.abreast import Abreast, train_abreast
from luthier.run.garbage import collect_if_due
from luthier.run.ranks.leading import Leader, leader_here, led
from luthier.run.recording import MayBePreempted, conclude, failure_of, recorded
from luthier.run.recording import out_of_memory as out_of_memory
from luthier.run.seeding import seed_everything
from luthier.study import interrupts
from luthier.study.deciding import Job
from luthier.study.protocols import Done, Wait
from luthier.study.study import Study
from luthier.study.trial import Trial

Train = Callable[[Trial], Any]
PREEMPTED_CODE = 128 + signal.SIGTERM
_ECHO_SECONDS = 2.0
_WAIT_SECONDS = 0.5  # at most: what is new in the log ends the wait


def work(study: Study, train: Train, enough: Callable[[], bool] | None = None) -> str:
    """Run jobs until the study has none left, and return why it ended.

    Args:
        study: where the jobs come from and the reports go.
        train: the training code.
        enough: asked between two jobs; True ends the loop early (the process wants to be replaced).

    Raises:
        Exception: whatever *train* raises, but for out of memory, which fails the trial alone.
        TrialError: the training code has raised in another process, which ends the study here, too.
        CheckpointError, StorageError: this process cannot go on; its trial is back in the queue.
        KeyboardInterrupt: the trial at hand is given back first.

    SIGTERM (a cluster that wants its machine back) lets the trial come to its next report, with its
    checkpoint, gives the job back and ends the loop; a second one ends the process at once.
    """
    with preemptible(study), interrupts.held():
        return _work(study, train, enough)


def _work(study: Study, train: Train, enough: Callable[[], bool] | None) -> str:
    while True:
        interrupts.check()
        leader = leader_here()
        if leader is not None:
            leader.check()
        elif hasattr(train, "abreast"):
            train_abreast(study, cast(Abreast, train), enough)
        job = study.next_job()
        if isinstance(job, Done):
            study.checkpoints.collect(study.history)
            if leader is not None:
                leader.finish(study, job.reason)
            if (failure := failure_of(study)) is not None:
                raise failure
            return job.reason
        if isinstance(job, Wait):
            with interrupts.through():
                study.wait(_WAIT_SECONDS)
            continue
        run_job(study, job, train, leader)
        study.checkpoints.collect(study.refresh())
        if enough is not None and enough():
            return "replaced"


@contextlib.contextmanager
def preemptible(study: MayBePreempted) -> Generator[None]:
    """Have SIGTERM ask *study* to give its jobs back, in the main thread; elsewhere nothing changes.

    Ctrl-C waits in blocks of ``interrupts.held``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = _Asked(study)
    try:
        with interrupts.heard():
            yield
    finally:
        signal.signal(signal.SIGTERM, asked.before or signal.SIG_DFL)


class _Asked:
    """What SIGTERM does while *study* works: the first asks for its jobs, a second ends the process."""

    def __init__(self, study: MayBePreempted) -> None:
        self._study = study
        self._at = 0.0
        self.before = signal.signal(signal.SIGTERM, self)

    def __call__(self, *_: object) -> None:
        now = time.monotonic()
        # A cluster that tells the whole process group, and our supervisor, say it twice at once.
        if self._study.preempted and now > self._at + _ECHO_SECONDS:
            raise SystemExit(PREEMPTED_CODE)
        self._at = self._at or now
        self._study.preempted = "preempted (SIGTERM)"


def _forget_in_fork() -> None:
    """Let SIGTERM mean in a fork what it meant before: a process that loads data has no job to give back."""
    with contextlib.suppress(ValueError):  # not the main thread
        while isinstance(handler := signal.getsignal(signal.SIGTERM), _Asked):
            signal.signal(signal.SIGTERM, handler.before or signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_fork)


def run_job(study: Study, job: Job, train: Train, leader: Leader | None = None) -> None:
    """Train one job, with the ranks that *leader* leads, and record how it ended."""
    trial = Trial(study, job)
    seed_everything(trial.seed)
    try:
        with recorded(study, trial):
            with interrupts.through():
                outcome = led(trial, _to_its_end(train), leader)
            conclude(study, trial, outcome)
    finally:
        trial.closed = True
        collect_if_due()


def _to_its_end(train: Train) -> Train:
    """Return *train* with all written that it reports, while other ranks still train with it."""

    def whole(trial: Trial) -> Any:
        outcome = train(trial)
        trial.flush()
        return outcome

    return whole
