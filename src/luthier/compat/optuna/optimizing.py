"""The loop of ``study.optimize``: ask, run the objective, tell."""

from __future__ import annotations

import gc
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.exceptions import TrialPruned
from luthier.compat.optuna.logging import get_logger
from luthier.compat.optuna.trial import FrozenTrial, Trial, TrialState
from luthier.errors import StudyError

if TYPE_CHECKING:
    from luthier.compat.optuna.study import Study


def optimize(
    study: Study,
    objective: Callable[[Trial], Any],
    n_trials: int | None,
    timeout: float | None,
    n_jobs: int,
    catch: tuple[type[Exception], ...],
    callbacks: Sequence[Callable[[Study, FrozenTrial], object]],
    collect_garbage: bool,
) -> None:
    """Run *objective* on new trials; see ``Study.optimize``.

    Threads of the caller's own may run it at the same time, each with its own *n_trials*, as in Optuna.

    Raises:
        RuntimeError: it is called by an objective or a callback that it runs itself.
    """
    if getattr(study.within, "loop", False):
        raise RuntimeError("study.optimize() is running already: it cannot be called from within.")
    until = None if timeout is None else time.monotonic() + timeout
    left = [n_trials]
    failed = threading.Event()  # one thread of this call has raised, and the others end, too

    def over() -> bool:
        return study.stopped or failed.is_set()

    def one_more() -> bool:
        with study.lock:
            if over() or (until is not None and time.monotonic() >= until):
                return False
            if left[0] is not None:
                left[0] -= 1
                return left[0] >= 0
            return True

    def run() -> None:
        study.within.loop = True
        try:
            while one_more() and (trial := study.next_trial(over=over)) is not None:
                ended = _run(study, trial, objective, catch)
                if collect_garbage:
                    gc.collect()
                for callback in callbacks:
                    callback(study, ended.copied())
        except BaseException:
            failed.set()
            raise
        finally:
            study.within.loop = False

    with study.lock:
        if not study.optimizing:
            study.stopped = False
        study.optimizing += 1
    try:
        threads = (os.cpu_count() or 1) if n_jobs == -1 else n_jobs
        if threads == 1:
            run()
            return
        _in_threads(run, threads, failed)
    finally:
        with study.lock:
            study.optimizing -= 1


def _in_threads(run: Callable[[], None], count: int, failed: threading.Event) -> None:
    """Have *count* threads call *run*, and wait for them, after Ctrl-C for the trials that they run.

    No pool: one that is interrupted while it starts a thread has that thread wait for ever. And no ``join``:
    until Python 3.13 one that is interrupted takes the thread for ended (bpo-45274).
    """
    errors: list[BaseException] = []
    begun: list[threading.Event] = []

    def guarded(over: threading.Event) -> None:
        begun.append(over)
        try:
            run()
        except BaseException as error:
            errors.append(error)
        finally:
            over.set()

    ends = [threading.Event() for _ in range(count)]
    try:
        for over in ends:
            threading.Thread(target=guarded, args=(over,)).start()
        for over in ends:
            over.wait()
    except BaseException:
        failed.set()
        for over in begun:
            over.wait()
        raise
    if errors:
        raise errors[0]


def _run(
    study: Study,
    trial: Trial,
    objective: Callable[[Trial], Any],
    catch: tuple[type[Exception], ...],
) -> FrozenTrial:
    try:
        values = objective(trial)
    except TrialPruned:
        ended = study.tell(trial, state=TrialState.PRUNED)
    except (Exception, KeyboardInterrupt) as error:
        # Ctrl-C is given to whoever waits for it; the trial has failed, or the next call would run it again.
        ended = study.tell(trial, state=TrialState.FAIL)
        if not isinstance(error, catch):
            _say(ended)
            raise
    except BaseException as error:
        with study.lock:
            study.own.release(trial.own, type(error).__name__)
        raise
    else:
        try:
            ended = study.tell(trial, values)
        except StudyError:
            study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            raise
    _say(ended)
    return ended


def _say(trial: FrozenTrial) -> None:
    """Log how a trial ended."""
    logger = get_logger()
    match trial.state:
        case TrialState.PRUNED:
            logger.info("Trial %d pruned. ", trial.number)
        case TrialState.FAIL:
            logger.warning("Trial %d failed with parameters: %s.", trial.number, trial.params)
        case _ if len(trial.values or ()) > 1:
            logger.info(
                "Trial %d finished with values: %s and parameters: %s.",
                trial.number, trial.values, trial.params,
            )  # fmt: skip
        case _:
            value = trial.value if trial.value is not None else math.nan
            logger.info(
                "Trial %d finished with value: %s and parameters: %s. ",
                trial.number, value, trial.params,
            )  # fmt: skip
