"""A trial in KerasTuner's words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from luthier.compat.keras_tuner.hyperparameters import HyperParameters
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

_STATUS = {
    TrialState.QUEUED: "IDLE",
    TrialState.RUNNING: "RUNNING",
    TrialState.PAUSED: "COMPLETED",
    TrialState.COMPLETED: "COMPLETED",
    TrialState.STOPPED: "COMPLETED",
    TrialState.DIVERGED: "INVALID",
    TrialState.FAILED: "FAILED",
}


class TrialStatus:
    """The words for it."""

    RUNNING, IDLE, INVALID, STOPPED = "RUNNING", "IDLE", "INVALID", "STOPPED"
    COMPLETED, FAILED = "COMPLETED", "FAILED"


@dataclass
class Trial:
    """A trial: its number as a text, its hyperparameters, and how it did."""

    trial_id: str
    hyperparameters: HyperParameters
    status: str = "RUNNING"
    score: float | None = None
    best_step: int = 0
    metrics: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    message: str = ""

    def summary(self) -> None:
        """Print it."""
        print(f"Trial {self.trial_id} summary\nHyperparameters:")
        for name, value in self.hyperparameters.values.items():
            print(f"{name}: {value}")
        print(f"Score: {self.score}" if self.score is not None else f"Status: {self.status}")


def name_of(key: str, asked: Iterable[str]) -> str:
    """Return the name by which the script asks for what the log calls *key*."""
    plain = re.sub(r"#\d+$", "", key)
    found = [name for name in asked if plain == name or plain.endswith("." + name)]
    return max(found, key=len, default=plain)


def seen(history: History, record: TrialRecord, asked: Iterable[str]) -> Trial:
    """Return what the log knows of a trial."""
    asked = list(asked)
    values = {name_of(key, asked): value for key, value in record.configuration.items()}
    names = {name for shape in record.names for name in shape}
    return Trial(
        f"{record.number:04d}",
        HyperParameters(values),
        _STATUS[record.state],
        history.value(record.best_loss) if math.isfinite(record.best_loss) else None,
        record.best_step,
        {name: record.curve(name) for name in sorted(names)},
        record.why,
    )
