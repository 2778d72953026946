"""The one loop in which every trial runs: take a job, train it, take the next."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from typing import Any

from luthier.errors import StudyError, TrialEnded
from luthier.run.seeding import seed_everything
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
        KeyboardInterrupt: the trial at hand is given back first.

    SIGTERM (a cluster that wants its machine back) lets the trial come to its next report, with its
    checkpoint, gives the job back and ends the loop; a second one ends the process at once.
    """
    with preemptible(study):
        return _work(study, train, enough)


def _work(study: Study, train: Train, enough: Callable[[], bool] | None) -> str:
    while True:
        job = study.next_job()
        if isinstance(job, Done):
            study.checkpoints.collect(study.history)
            return job.reason
        if isinstance(job, Wait):
            study.wait(_WAIT_SECONDS)
            continue
        run_job(study, job, train)
        study.checkpoints.collect(study.refresh())
        if enough is not None and enough():
            return "replaced"


@contextlib.contextmanager
def preemptible(study: Study) -> Generator[None]:
    """Have SIGTERM ask *study* to give its jobs back, in the main thread; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked_at = 0.0

    def asked(*_: object) -> None:
        nonlocal asked_at
        now = time.monotonic()
        # A cluster that tells the whole process group, and our supervisor, say it twice at once.
        if study.preempted and now > asked_at + _ECHO_SECONDS:
            raise SystemExit(PREEMPTED_CODE)
        asked_at = asked_at or now
        study.preempted = "preempted (SIGTERM)"

    before = signal.signal(signal.SIGTERM, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def run_job(study: Study, job: Job, train: Train) -> None:
    """Train one job and record how it ended."""
    trial = Trial(study, job)
    seed_everything(trial.seed)
    try:
        outcome = train(trial)
        _conclude(study, trial, outcome)
    except TrialEnded:
        trial.closed = True
    except Exception as error:
        ran_out = out_of_memory(error)
        kind = "out of memory" if ran_out else "error"
        words = f"{type(error).__name__}: {error}"
        study.fail(trial, kind, words, traceback.format_exc())
        if not ran_out:
            raise
    except BaseException as error:
        study.release(trial, type(error).__name__)
        raise
    finally:
        trial.closed = True
        gc.collect()


def _conclude(study: Study, trial: Trial, outcome: Any) -> None:
    """Complete a trial whose training code returned."""
    if trial.should_stop:
        return
    reported = study.history.trials[trial.number].steps
    if outcome is not None and not reported:
        metrics = outcome if isinstance(outcome, Mapping) else {study.objective.metric: outcome}
        trial.report(metrics)
    elif not reported:
        metric = study.objective.metric
        raise StudyError(
            f"The training code returned without a result: expected trial.report({metric}=...) "
            f"in each epoch, or the value of {metric!r} returned."
        )
    if not trial.should_stop:
        trial.settle()
        study.finish(trial)


# PyTorch's allocator on the CPU, on Windows and on Linux.
_TORCH_ON_CPU = ("not enough memory", "DefaultCPUAllocator: can't allocate memory")


def out_of_memory(error: BaseException) -> bool:
    """Return True for the ways in which Python and the frameworks say that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    name, text = type(error).__name__, str(error)
    return (
        name in ("OutOfMemoryError", "ResourceExhaustedError")
        or "RESOURCE_EXHAUSTED" in text
        or (name == "RuntimeError" and any(words in text for words in _TORCH_ON_CPU))
    )
