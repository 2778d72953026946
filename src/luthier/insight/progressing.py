"""How a study came to its best value: over trials, over epochs and over time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from luthier.study.history import History
from luthier.study.records import TrialState

_SPOILT = (TrialState.DIVERGED, TrialState.FAILED)


@dataclass(frozen=True)
class Improvements:
    """The moments at which a study's best value got better, and last of all where the study stands.

    Attributes:
        trials: that had ended by then.
        epochs: that these had trained.
        seconds: since the first trial was proposed.
        values: the best value from then on, as it is reported.
        numbers: of the trials that were the best.
    """

    trials: tuple[int, ...]
    epochs: tuple[int, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]
    numbers: tuple[int, ...]


def improvements(history: History) -> Improvements:
    """Return when the best value got better; nothing while no trial has ended with a finite value."""
    ended = sorted(
        (t for t in history.trials if t.ended_at is not None and t.repeats < 0),
        key=lambda t: (t.ended_at, t.number),
    )
    first = min((t.proposed_at for t in history.trials), default=0.0)
    rows: list[tuple[int, int, float, float, int]] = []
    best, number, epochs = math.inf, -1, 0
    for count, trial in enumerate(ended, 1):
        epochs += trial.step - trial.start
        better = trial.state not in _SPOILT and not trial.violation and trial.best_loss < best
        if better:
            best, number = trial.best_loss, trial.number
        if better or (count == len(ended) and rows):
            seconds = (trial.ended_at or first) - first
            rows.append((count, epochs, seconds, history.value(best), number))
    columns = tuple(zip(*rows, strict=True)) or ((),) * 5
    return Improvements(*columns)  # type: ignore[arg-type]
