"""A trial's epochs for frameworks that own the loop, and let callbacks see each epoch's end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.study.trial import Trial

Save = Callable[[Path], object]


@dataclass(frozen=True)
class _Whole:
    save: Save
    restore: Save
    every_rank = True  # saving is a collective operation in the frameworks that own the loop


class Epochs:
    """The epochs of one job, stepped through from the outside.

    ``trial.epochs(...)`` is a loop; here its turns are taken one by one.

    Args:
        trial: whose epochs.
        save: writes the whole training state into a folder; where several processes train the trial,
            each calls it with the same folder.
        restore: called at once, with the folder to go on from, when there is one.

    Attributes:
        begin: epochs that are trained already.
        over: whether to stop training.
    """

    def __init__(self, trial: Trial, save: Save, restore: Save) -> None:
        self._trial = trial
        self._turns = trial.epochs(_Whole(save, restore))
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


def length(trial: Trial, given: int | None, what: str) -> int:
    """Return the epochs at which this job ends: its rung, or *given*.

    Raises:
        StudyError: neither is known.
    """
    from luthier.errors import StudyError

    end = trial.to_step or given
    if end is None:
        raise StudyError(
            f"{what} is missing: the study does not say how long a trial trains. Give it here, or "
            "epochs= to luthier.tune."
        )
    return end


__all__ = ["Epochs", "length"]
