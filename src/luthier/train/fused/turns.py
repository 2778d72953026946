"""One epoch of one trial, waiting to be run: alone, or beside those of other trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class OneEpoch(Protocol):
    """Trains one epoch of one model and tells its listeners."""

    def __call__(self, epoch: int, seed: int, listeners: Any, /) -> None:
        """Train *epoch* in the order that *seed* gives."""
        ...


@dataclass(frozen=True)
class Turn:
    """An epoch that is due.

    Attributes:
        train: trains it, alone.
        epoch: which, from 0.
        seed: of the order of its data.
        listeners: callbacks to be told.
    """

    train: OneEpoch
    epoch: int
    seed: int
    listeners: Any

    def run(self) -> None:
        """Train this epoch now."""
        self.train(self.epoch, self.seed, self.listeners)
