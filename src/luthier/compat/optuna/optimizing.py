"""The loop of ``study.optimize``: ask, run the objective, tell."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.exceptions import TrialPruned
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
    """Run *objective* on new trials; see ``Study.optimize``."""
    if study.optimizing:
        raise RuntimeError("study.optimize() is running already: it cannot be called from within.")
    until = None if timeout is None else time.monotonic() + timeout
    left = [n_trials]

    def one_more() -> bool:
        with study.lock:
            if study.stopped or (until is not None and time.monotonic() >= until):
                return False
            if left[0] is not None:
                left[0] -= 1
                return left[0] >= 0
            return True

    def run() -> None:
        while one_more():
            trial = study.next_trial()
            if trial is None:
                return
            try:
                ended = _run(study, trial, objective, catch)
            except BaseException:
                study.stopped = True  # and have the other threads end, too
                raise
            if collect_garbage:
                gc.collect()
            for callback in callbacks:
                callback(study, ended)

    study.stopped, study.optimizing = False, True
    try:
        threads = (os.cpu_count() or 1) if n_jobs == -1 else n_jobs
        if threads == 1:
            run()
            return
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(run) for _ in range(threads)]:
                future.result()
    finally:
        study.optimizing = False


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
    except Exception as error:
        ended = study.tell(trial, state=TrialState.FAIL)
        if not isinstance(error, catch):
            study.say(ended)
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
    study.say(ended)
    return ended
