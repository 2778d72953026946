"""A trial's epochs for frameworks that own the loop, and let callbacks see each epoch's end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.errors import StudyError
from luthier.study.trial import Trial

Save = Callable[[Path], object]


@dataclass(frozen=True)
class _Whole:
    save: Save
    restore: Save
    inherit: Save
    every_rank = True  # saving is a collective operation in the frameworks that own the loop


class Epochs:
    """The epochs of one job, stepped through from the outside.

    ``trial.epochs(...)`` is a loop; here its turns are taken one by one.

    Args:
        trial: whose epochs.
        save: writes the whole training state into a folder; where several processes train the trial,
            each calls it with the same folder.
        restore: called at once, with the folder to go on from, when there is one.
        inherit: called instead where that is another trial's, whose hyperparameters are not this one's; by
            default the same.

    Attributes:
        begin: epochs that are trained already.
        over: whether to stop training.
    """

    def __init__(
        self, trial: Trial, save: Save, restore: Save, inherit: Save | None = None
    ) -> None:
        self._trial = trial
        self._turns = trial.epochs(_Whole(save, restore, inherit or restore))
        self.begin = trial.from_step
        self.over = next(self._turns, None) is None

    def report(self, metrics: Mapping[str, Any]) -> bool:
        """Report an epoch, write its checkpoint, and return whether to stop."""
        self._trial.report({name: float(value) for name, value in metrics.items()})
        self.over = next(self._turns, None) is None
        return self.over

    def close(self) -> None:
        """End the loop where the framework ended training by itself."""
        close: Any = getattr(self._turns, "close", None)
        if close is not None:
            close()


def listed(callbacks: Any) -> list[Any]:
    """Return callbacks, which may be given as one or as none, as a list."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple | set) else [callbacks]  # pyright: ignore[reportUnknownArgumentType]


def check_options(door: str, options: Mapping[str, Any], ours: Mapping[str, str]) -> None:
    """Refuse what somebody used to the framework gives, and is not the caller's to say here.

    Args:
        door: the function that was called.
        options: what it was given for the framework.
        ours: by an option's name, what to do instead.

    Raises:
        StudyError: one of *ours* is among them.
    """
    for name, instead in ours.items():
        if name in options:
            value = options[name]
            shown = f"={value!r}" if isinstance(value, int | str) else "="
            raise StudyError(f"{door} got {name}{shown}: {instead}")


def seed_from(trial: Trial, begin: int) -> int:
    """Return the seed of a job that begins after so many epochs, for frameworks that seed each job anew.

    A trial that goes on draws other rows and columns than it did from its start.
    """
    return trial.seed_of(begin) if begin else trial.seed


def length(trial: Trial, given: int | None, what: str) -> int:
    """Return the epochs at which this job ends: its rung, or *given*.

    Raises:
        StudyError: neither is known.
    """
    end = trial.to_step or given
    if end is None:
        raise StudyError(
            f"{what} is missing: the study does not say how long a trial trains. Give it here, or "
            "epochs= to luthier.tune."
        )
    return end


__all__ = ["Epochs", "check_options", "length", "listed", "seed_from"]
