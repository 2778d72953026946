"""How a trial's end is recorded, whether its training code returned or raised."""

from __future__ import annotations

import contextlib
import shlex
import traceback
from collections.abc import Generator, Mapping
from typing import Any

from luthier.errors import Infeasible, StudyError, TrialEnded
from luthier.run.places import storage_option
from luthier.study.study import Study
from luthier.study.trial import Trial


def what_to_do(study: Study, trial: int) -> str:
    """Return what there is to do about a trial whose training code raised an error; "" for nothing."""
    if study.store.address == "memory":
        return ""
    return (
        "Mend it and run again: the study goes on with this trial. Or leave it out: "
        f"`luthier prune {shlex.quote(study.name)} {trial}{storage_option(study.store)}`."
    )


@contextlib.contextmanager
def recorded(study: Study, trial: Trial) -> Generator[None]:
    """Record how a trial ends when its training code raises.

    Raises:
        Exception: what the training code raised, but for out of memory and ``Infeasible``, which fail the
            trial alone.
    """
    try:
        yield
    except TrialEnded:
        trial.closed = True
    except Infeasible as error:
        trial.settle()  # what it had asked for is what cannot be trained
        study.fail(trial, "failed", str(error) or "infeasible", traceback.format_exc())
    except Exception as error:
        ran_out = out_of_memory(error)
        if ran_out:
            trial.settle()
        kind = "out of memory" if ran_out else "error"
        words = f"{type(error).__name__}: {error}"
        study.fail(trial, kind, words, traceback.format_exc())
        if not ran_out:
            if told := what_to_do(study, trial.number):
                error.add_note(told)
            raise
    except BaseException as error:
        study.release(trial, type(error).__name__)
        raise


def conclude(study: Study, trial: Trial, outcome: Any) -> None:
    """Complete a trial whose training code returned."""
    if trial.should_stop:
        return
    if outcome is not None and not trial.has_reported:
        metrics = outcome if isinstance(outcome, Mapping) else {study.objective.metric: outcome}
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
