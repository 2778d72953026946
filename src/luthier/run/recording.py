"""How a trial's end is recorded, whether its training code returned or raised."""

from __future__ import annotations

import contextlib
import inspect
import math
import shlex
import time
import traceback
from collections.abc import Generator, Mapping
from typing import Any, Protocol, SupportsFloat, cast

from luthier.errors import (
    CheckpointError,
    Infeasible,
    LuthierError,
    StorageError,
    StudyError,
    TrialEnded,
    TrialError,
)
from luthier.run.places import storage_option
from luthier.study.protocols import Fate
from luthier.study.study import Study
from luthier.study.trial import Trial

_WORD_SECONDS = 0.2  # for SIGTERM to come, when it has ended a process that the training needs


class MayBePreempted(Protocol):
    """A study, or what stands for it in a process that follows another one."""

    preempted: str


class RaisedElsewhere(TrialError):
    """What another process of the trial raised, which had not been told to end.

    Whoever started the processes may end this one for it: that is no reason to give the trial back.
    """


def what_to_do(study: Study, trial: int) -> str:
    """Return what there is to do about a trial whose training code raised an error; "" for nothing."""
    if study.store.address == "memory":
        return ""
    return (
        "Mend it and run again: the study goes on with this trial. Or leave it out: "
        f"`luthier prune {shlex.quote(study.name)} {trial}{storage_option(study.store)}`."
    )


def failure_of(study: Study) -> TrialError | None:
    """Return the error by which the training code has stopped the study, wherever that was; None for none."""
    failed = study.history.errors.values()
    if not failed:
        return None
    last = max(failed, key=lambda trial: trial.ended_at or 0.0)
    return TrialError(
        f"The training code failed in trial {last.number}, with {last.configuration}:\n\n"
        f"{last.traceback}\n{what_to_do(study, last.number)}"
    )


@contextlib.contextmanager
def recorded(study: Study, trial: Trial) -> Generator[None]:
    """Record how a trial ends when its training code raises.

    Raises:
        Exception: what the training code raised, and the study ends with it. Out of memory and
            ``Infeasible`` fail the trial alone; an error of a process that has to go, or of a trial that
            another worker has taken over, fails nothing.
        CheckpointError, StorageError: this worker cannot go on; the trial is back in the queue for others.
    """
    try:
        yield
    except TrialEnded:
        trial.closed = True
    except Infeasible as error:
        trial.settle()  # what it had asked for is what cannot be trained
        study.fail(trial, "failed", str(error) or "infeasible", traceback.format_exc())
    except Exception as error:
        _record(study, trial, error)
    except BaseException as error:
        cause = "preempted" if study.preempted else "interrupted"
        study.release(trial, study.preempted or type(error).__name__, cause)
        raise


def _record(study: Study, trial: Trial, error: Exception) -> None:
    """Record an error while it is handled, and raise it again unless it is the trial's own affair."""
    # All ranks may raise the same one, and whoever started them ends the others for the first.
    bug = isinstance(error, RaisedElsewhere) or (trial.ranks is not None and trial.ranks.raised)
    if out_of_memory(error):
        trial.settle()
        study.fail(trial, "out of memory", _words(error), traceback.format_exc())
    elif study.preempted and not bug:
        _give_back(study, trial, error)
    elif isinstance(error, CheckpointError | StorageError):
        _put_back(study, trial, error)
        raise error
    elif not bug and told_to_go(study):
        _give_back(study, trial, error)
    elif _taken_over(study, trial):
        trial.closed = True
        study.leased.pop(trial.lease, None)
        trial.warn_once(
            f"trial {trial.number} taken over",
            f"Trial {trial.number} raised {_words(error)}, after another worker had taken it over: the "
            "error is passed over, and that worker's training counts.",
        )
    else:
        study.fail(trial, "error", _words(error), traceback.format_exc())
        if isinstance(error, LuthierError):
            error.in_training = True
        if told := what_to_do(study, trial.number):
            error.add_note(told)
        raise error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _give_back(study: Study, trial: Trial, error: Exception) -> None:
    """Give a trial back whose process has to go; if its error is a bug, who goes on meets it, too."""
    study.release(trial, f"{study.preempted}; then it raised {_words(error)}", "preempted")


def told_to_go(asked: MayBePreempted) -> bool:
    """Return whether this process has been told to end, if only a moment after the error.

    A cluster sends SIGTERM to all processes of a job. It kills those that load the data, which the
    training may notice before its own SIGTERM has come.
    """
    until = time.monotonic() + _WORD_SECONDS
    while not asked.preempted and time.monotonic() < until:
        time.sleep(0.01)
    return bool(asked.preempted)


def _taken_over(study: Study, trial: Trial) -> bool:
    """Return whether another worker took the trial over while this one still trained it.

    A trial that this worker had trained to its rung may be somebody else's by now, too; an error after
    that is one of the training code.
    """
    unfinished = trial.verdict.fate in (Fate.GO_ON, Fate.STOP)
    return unfinished and study.refresh().trials[trial.number].lease != trial.lease


def _put_back(study: Study, trial: Trial, error: Exception) -> None:
    """Put a trial back whose worker cannot write or read; it counts as one whose worker was killed.

    So one machine's full disk ends that machine's work and no other's, and a trial that nobody can go on
    with has failed after a few workers.
    """
    trial.closed = True
    study.leased.pop(trial.lease, None)
    with contextlib.suppress(LuthierError):  # a store that is gone: the lease will lapse
        record = study.history.trials[trial.number]
        if record.lease == trial.lease:
            study.release_held([record], _words(error), kind="lost")
    error.add_note(
        f"Trial {trial.number} is back in the queue, for other workers or the next run: it goes on from "
        "its newest checkpoint."
    )


def conclude(study: Study, trial: Trial, outcome: Any) -> None:
    """Complete a trial whose training code returned.

    Raises:
        StudyError: it returned no result, or did not even run.
        CheckpointError, StorageError: what it reported last cannot be written.
    """
    trial.flush()
    _check_ran(outcome)
    if trial.has_reported:
        _tell_of_dropped(study, trial, outcome)
    if trial.should_stop:
        return
    if outcome is not None and not trial.has_reported:
        metrics = outcome if isinstance(outcome, Mapping) else {study.objective.metric: outcome}
        if trial.to_step is None and trial.ranks is None:
            study.tell(trial, metrics)  # it is over: nobody has to judge whether it may go on
            return
        trial.report(metrics)
    elif not trial.has_reported:
        metric = study.objective.metric
        raise StudyError(
            f"The training code returned without a result: expected trial.report({metric}=...) "
            f"in each epoch, or the value of {metric!r} returned."
        )
    if not trial.should_stop:
        trial.settle()
        study.finish(trial)


def _check_ran(outcome: Any) -> None:
    """Refuse what a call of an async or a generator function gives: nothing of it has run."""
    if inspect.iscoroutine(outcome):
        outcome.close()
        what, how = "an async function", "await what it has to, by asyncio.run(...), in a plain one"
    elif inspect.isasyncgen(outcome) or inspect.isgenerator(outcome):
        what, how = "a generator function", "take its yield out, and report each epoch"
    else:
        return
    raise StudyError(f"The training code is {what}, of which a call runs nothing: {how}.")


def _tell_of_dropped(study: Study, trial: Trial, outcome: Any) -> None:
    """Warn of a returned result that is none of those reported: it does not count."""
    metric = study.objective.metric
    value = (
        cast("Mapping[str, Any]", outcome).get(metric) if isinstance(outcome, Mapping) else outcome
    )
    if (
        not isinstance(value, SupportsFloat)
        or isinstance(value, bool)
        or trial.verdict.fate is Fate.STOP
    ):
        return  # a model, a history; or another worker has the trial
    try:
        returned = float(value)
    except (TypeError, ValueError):  # an array
        return
    known = study.history.trials[trial.number].curve(metric)
    if (
        known
        and math.isfinite(returned)
        and not any(math.isclose(returned, told, rel_tol=1e-4) for told in known)
    ):
        trial.warn_once(
            "returned beside reports",
            f"The training code of trial {trial.number} returned {metric}={returned:g} after it had reported "
            f"{metric}={known[-1]:g}: what is reported counts, and what is returned then does not. Report "
            "it as the last epoch's, or report nothing and return the result alone.",
        )


# What PyTorch says in a plain RuntimeError, and TensorFlow in an InternalError: the allocator of the CPU, on
# Windows and on Linux, devices that give no memory, and their libraries, which need some of their own.
_NO_MEMORY = (
    "not enough memory",
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "HIP out of memory",
    "HIP error: out of memory",
    "XPU out of memory",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def out_of_memory(error: BaseException) -> bool:
    """Return True for the ways in which Python and the frameworks say that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    name, text = type(error).__name__, str(error)
    return (
        name in ("OutOfMemoryError", "ResourceExhaustedError")
        or "RESOURCE_EXHAUSTED" in text
        or (
            name in ("RuntimeError", "AcceleratorError", "InternalError")
            and any(words in text for words in _NO_MEMORY)
        )
    )
