"""Patience: abandon a trial that has not become better for some epochs (Prechelt 1998, criterion UP)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from luthier.schedule.settings import real, whole
from luthier.schedule.stopping import Stopping
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class Patience(Stopping):
    """Full training, cut short for what stands still; other trials do not matter.

    Attributes:
        patience: steps without a better value after which a trial is abandoned.
        better: by how much a value must beat the best one before it, in units of the objective.
    """

    patience: int = 5
    better: float = 0.0

    hangs_on_itself: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole or below what it can be.
        """
        super().__post_init__()
        whole(self, patience=1)
        real(self, better=0)

    def against(self, history: History, trial: TrialRecord) -> str:
        """Return the words for a trial that has not become better."""
        since = followed(history, ("patience", self.better), lambda: _Standing(self.better)).since(
            trial
        )
        if trial.step - since < self.patience:
            return ""
        more = f" by more than {self.better:g}" if self.better else ""
        return f"no better{more} since epoch {since}, {trial.step - since} epochs ago"


@dataclass(eq=False)
class _Standing:
    """For each trial the last value that was better by enough, its step, and what was read by then.

    That is how many reports, and how often some had been taken back.
    """

    better: float
    of: dict[int, tuple[float, int, int, int]] = field(
        default_factory=dict[int, tuple[float, int, int, int]]
    )

    def take(self, trial: TrialRecord) -> None:
        """Read the reports that are new; all of them when some were taken back."""
        best, since, read, rewound = self.of.get(trial.number, (math.inf, 0, 0, 0))
        if rewound != trial.rewound:
            best, since, read = math.inf, 0, 0
        for at in range(read, len(trial.steps)):
            if trial.losses[at] < best - self.better:
                best, since = trial.losses[at], trial.steps[at]
        self.of[trial.number] = (best, since, len(trial.steps), trial.rewound)

    def since(self, trial: TrialRecord) -> int:
        """Return the step of the trial's last value that was better by enough."""
        return self.of[trial.number][1]
