"""No scheduler: every trial trains to its end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from luthier.schedule.settings import whole
from luthier.study.history import History
from luthier.study.limits import epochs_left
from luthier.study.protocols import (
    COMPLETE,
    GO_ON,
    Bracket,
    Done,
    Limits,
    Move,
    Plan,
    Rung,
    Start,
    Verdict,
    Wait,
)
from luthier.study.records import TrialRecord
from luthier.study.words import were_tried


@dataclass(frozen=True)
class Full:
    """Trains every trial for *epochs* epochs; None: until its training code returns."""

    epochs: int | None = None
    in_any_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the epochs.

        Raises:
            StudyError: they are no whole number of at least 1.
        """
        whole(self, epochs=1)

    @property
    def promotes(self) -> bool:
        """Return False: nothing is paused."""
        return False

    @property
    def judges_alone(self) -> bool:
        """Return True: a trial goes on to its end, whatever it reports."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return one rung: as many trials as the limits allow, each to its end."""
        trials = _affordable(self.epochs, limits)
        if trials is None:
            return None
        return Plan(
            (Bracket(0, "all", (Rung(trials, self.epochs or 1),)),), to_end=self.epochs is None
        )

    def next(self, history: History, limits: Limits) -> Move:
        """Start a new trial while the limits hold."""
        if limits.trials is not None and len(history.trials) >= limits.trials:
            return rest(history, were_tried(limits.trials))
        if (self.epochs or 1) > epochs_left(history, limits):
            return rest(history, f"{limits.epochs} epochs do not hold another trial")
        return Start(self.epochs)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Let the trial go on to its end."""
        over = trial.to_step is not None and trial.step >= trial.to_step
        return COMPLETE if over else GO_ON

    def holds(self, history: History, trial: TrialRecord, limits: Limits) -> bool:
        """Return whether the epochs hold another one of *trial*, where nobody knows how many it takes.

        Every running trial is promised one, so all of them together train no more than there are.
        """
        return self.epochs is not None or epochs_left(history, limits) >= 0

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return nobody: nothing is paused."""
        return []


def rest(history: History, reason: str) -> Move:
    """Wait for what is running: its worker may vanish, and its job would be ours."""
    return Wait() if history.active else Done(reason)


def _affordable(epochs: int | None, limits: Limits) -> int | None:
    """Return how many full trials the limits allow, None for no limit."""
    bounds = [math.inf if limits.trials is None else limits.trials]
    if limits.epochs is not None:
        bounds.append(limits.epochs // (epochs or 1))
    least = min(bounds)
    return None if least == math.inf else int(least)
