"""A trial in KerasTuner's words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from luthier.compat.keras_tuner.hyperparameters import HyperParameters
from luthier.compat.keras_tuner.objective import objectives
from luthier.space import Domain
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState

FINAL = "final"
"""The attribute of a trial that has what ``run_trial`` returned, where that is not the best of its reports."""

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


@dataclass(frozen=True)
class MetricObservation:
    """A metric after an epoch, in a list, as KerasTuner has it; the first epoch's *step* is 0.

    Of several executions it is the mean over the best epoch that each had until then.
    """

    value: list[float]
    step: int

    def mean(self) -> float:
        """Return the value."""
        return self.value[0]


class Metrics(dict[str, list[float]]):
    """The curves of a trial by metric, and KerasTuner's words for reading them."""

    def __init__(
        self,
        curves: Mapping[str, list[float]] | None = None,
        steps: Sequence[int] = (),  # counted from 1
        directions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(curves or {})
        self._steps, self._directions = list(steps), dict(directions or {})

    def exists(self, name: str) -> bool:
        """Return whether there is such a metric."""
        return name in self

    def get_history(self, name: str) -> list[MetricObservation]:
        """Return the metric's values by epoch."""
        rows = zip(self[name], self._steps, strict=True)
        return [MetricObservation([value], step - 1) for value, step in rows]

    def get_direction(self, name: str) -> str:
        """Return "min" or "max": of an objective its own, of another metric what its name tells.

        Raises:
            StudyError: it does not tell.
        """
        return self._directions.get(name) or objectives(name)[0].direction

    def get_last_value(self, name: str) -> float | None:
        """Return the metric's last value; None without any."""
        return self[name][-1] if self[name] else None

    def get_best_value(self, name: str) -> float | None:
        """Return the metric's best value that is a number; None without any."""
        numbers = [value for value in self[name] if not math.isnan(value)]
        pick = max if self.get_direction(name) == "max" else min
        return pick(numbers, default=None)


@dataclass
class Trial:
    """A trial: its number as a text, its hyperparameters, and how it did.

    As in KerasTuner *best_step* is 0 where the first epoch was the best.
    """

    trial_id: str
    hyperparameters: HyperParameters
    status: str = "RUNNING"
    score: float | None = None
    best_step: int = 0
    metrics: Metrics = field(default_factory=lambda: Metrics())
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


def score_of(history: History, record: TrialRecord) -> float | None:
    """Return a trial's score: what ``run_trial`` returned in the end, or else its best report."""
    final = history.attributes.get(record.number, {}).get(FINAL)
    if final is not None and math.isfinite(final):
        return float(final)
    return history.value(record.best_loss) if math.isfinite(record.best_loss) else None


def ranked(history: History) -> list[TrialRecord]:
    """Return the trials with a finite score, the best first."""
    records = history.ranking()
    if not any(FINAL in history.attributes.get(record.number, {}) for record in records):
        return records
    sign = -1.0 if history.goals.objectives[0].direction == "maximize" else 1.0
    return sorted(records, key=lambda record: sign * (score_of(history, record) or 0.0))


def seen(history: History, record: TrialRecord, asked: Mapping[str, Domain]) -> Trial:
    """Return what the log knows of a trial."""
    asked = dict(asked)
    values = {name_of(key, asked): value for key, value in record.configuration.items()}
    names = {name for shape in record.names for name in shape}
    hyperparameters = HyperParameters(values)
    hyperparameters.space = {name: asked[name] for name in values if name in asked}
    ways = {goal.metric: goal.direction[:3] for goal in history.goals.objectives}
    return Trial(
        f"{record.number:04d}",
        hyperparameters,
        _STATUS[record.state],
        score_of(history, record),
        max(0, record.best_step - 1),
        Metrics({name: record.curve(name) for name in sorted(names)}, record.steps, ways),
        record.why,
    )
