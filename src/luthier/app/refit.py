"""Trains the chosen configuration once more, on all data, for as many epochs as were best.

The training runs as the only trial of a throw-away study in memory, so that everything is as it was in the
search: the seeds, the order of the data, the learning-rate schedule's horizon, compiled epochs, what is said
about divergence.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from luthier.errors import StudyError, TrialError
from luthier.run.checkpoints import LocalCheckpoints
from luthier.run.worker import run_job
from luthier.schedule.population import Replay
from luthier.search import RandomSearch
from luthier.storage.memory import MemoryStore
from luthier.study import events as ev
from luthier.study.deciding import Job
from luthier.study.history import History
from luthier.study.log import read_log
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    Bracket,
    Done,
    Limits,
    Move,
    Plan,
    Rung,
    Scheduler,
    Start,
    Verdict,
)
from luthier.study.records import TrialRecord, TrialState
from luthier.study.study import Study
from luthier.study.trial import Trial

Keep = Literal["epochs", "updates"]


@runtime_checkable
class Refits(Protocol):
    """A training function that can train on other data, and make the model of a checkpoint."""

    def __call__(self, trial: Trial, /) -> Any:
        """Train *trial*."""
        ...

    def on_all(self, data: Any = None, /) -> Refits:
        """Return the same training on *data*, by default on training and validation data together."""
        ...

    def load(self, trial: TrialRecord, folder: Path, study: Study, /) -> Any:
        """Return the model of a checkpoint."""
        ...

    @property
    def examples(self) -> int | None:
        """Return how many training examples there are, None where only reading tells."""
        ...


def refit(
    study: Study,
    training: Refits,
    trial: TrialRecord,
    data: Any = None,
    *,
    epochs: int | None = None,
    keep: Keep = "epochs",
    seed: int | None = None,
) -> Any:
    """Return *trial*'s model, trained anew on all data; see ``Result.fit``."""
    whole = training.on_all(data)
    history = study.refresh()
    if trial.parent >= 0:
        if epochs is not None or keep != "epochs":
            raise StudyError(
                f"Trial {trial.number} changed its hyperparameters on the way (population-based "
                "training), and is trained again by that schedule: leave epochs= and keep= out."
            )
        scheduler: Scheduler = Replay.of(study, trial)
    else:
        length = _length(epochs, keep, best_epoch(history, trial), training, whole)
        horizon: int = max(length, getattr(study.scheduler, "epochs", None) or length)
        rung = max(length, trial.to_step or horizon)
        scheduler = _Once(dict(trial.configuration), length, rung, horizon)
    with tempfile.TemporaryDirectory(prefix="luthier-refit-") as folder:
        own = _own_study(study, scheduler, Path(folder), study.seed if seed is None else seed)
        while isinstance(job := own.next_job(), Job):
            run_job(own, job, whole)
        done = own.refresh().trials[-1]
        if done.state is not TrialState.COMPLETED:
            raise TrialError(
                f"Trial {trial.number}, trained again on all data, {done.state} at epoch {done.step}: "
                f"{done.why or 'for no reason that is known'}. Try another seed=, or another trial=."
            )
        return whole.load(done, own.checkpoints.path(done.number, done.step), own)


def best_epoch(history: History, trial: TrialRecord) -> int:
    """Return after how many epochs a configuration was best.

    Where it was trained on several seeds (a race of the finalists), the median over those that went to
    their end: the best epoch of a single training is itself partly luck, and that of one that diverged or was
    cut short says nothing of how long to train.

    Raises:
        StudyError: *trial* has no finite value.
    """
    again = [
        t.best_step
        for t in history.repetitions.values()
        if t.repeats == trial.number and t.best_step and t.state is TrialState.COMPLETED
    ]
    if not trial.best_step:
        raise StudyError(f"Trial {trial.number} has no finite value: choose another trial=.")
    return median_low([trial.best_step, *again])


def _length(epochs: int | None, keep: Keep, best: int, before: Refits, after: Refits) -> int:
    if keep not in ("epochs", "updates"):
        raise StudyError(f"keep must be 'epochs' or 'updates', got {keep!r}.")
    if epochs is not None:
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StudyError(f"epochs must be a whole number above 0, or None, got {epochs!r}.")
        return epochs
    if keep == "epochs":
        return best
    if before.examples is None or after.examples is None:
        raise StudyError(
            "keep='updates' must know how many examples there are, and these data do not say it: "
            "give epochs= instead."
        )
    return max(1, round(best * before.examples / after.examples))


def _own_study(study: Study, scheduler: Scheduler, folder: Path, seed: int) -> Study:
    """Return a study in memory with the space of *study*, and what its code may ask for by older names."""
    name, store = study.name, MemoryStore()
    events = [e for _, e in read_log(study.store, name) if isinstance(e, _SPACE)]
    first = msgspec.structs.replace(
        study.history.header, seed=seed, searcher={"name": "random"}, halve="", noisy=False
    )
    store.append(name, [ev.encode(e) for e in (first, *events)])
    own = Study(store, name, RandomSearch(), scheduler, LocalCheckpoints(folder))
    own.warned = study.warned
    return own


_SPACE = (ev.SpaceGrown, ev.SpaceChanged)


@dataclass(frozen=True)
class _Once:
    """Trains one configuration *length* epochs, and lets it see the rung and the horizon it had before."""

    configuration: dict[str, Any]
    length: int
    rung: int
    epochs: int
    promotes: bool = True  # so that there are checkpoints

    def plan(self, limits: Limits) -> Plan:
        """Return one training."""
        return Plan((Bracket(0, "refit", (Rung(1, self.length),)),))

    def next(self, history: History, limits: Limits) -> Move:
        """Begin it, once."""
        return Done("trained") if history.trials else Start(self.rung, 0, dict(self.configuration))

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """End it after its epochs."""
        return COMPLETE if trial.step >= self.length else GO_ON

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return none: nothing is paused."""
        return []


__all__ = ["Keep", "Refits", "best_epoch", "refit"]
