"""What all trials had reached by each step, sorted, for rules that compare a trial with the others."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field

from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.records import TrialRecord

Summary = Callable[[TrialRecord, int], float]


@dataclass(eq=False)
class ByStep:
    """A number for each trial that has come as far as a step, for each step that was asked for.

    *summary* is given a trial and how many of its reports lie at or before the step.
    """

    summary: Summary
    trials: dict[int, TrialRecord] = field(default_factory=dict[int, TrialRecord])
    steps: list[int] = field(default_factory=list[int])
    of: dict[int, dict[int, float]] = field(default_factory=dict[int, dict[int, float]])
    ordered: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    reached: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        number, now = trial.number, trial.step
        before, rewound = self.reached.get(number, (0, 0))
        if rewound != trial.rewound:  # it went back to a checkpoint
            self._leave(number, before)
            before = 0
        self.trials[number], self.reached[number] = trial, (now, trial.rewound)
        for step in self.steps[bisect_right(self.steps, before) : bisect_right(self.steps, now)]:
            self._enter(trial, step)

    def others(self, trial: TrialRecord, step: int) -> Others:
        """Return the numbers of all trials but *trial* that have come as far as *step*."""
        if step not in self.of:
            insort(self.steps, step)
            self.of[step], self.ordered[step] = {}, []
            for other in self.trials.values():
                if other.step >= step:
                    self._enter(other, step)
        own = self.of[step].get(trial.number)
        values = self.ordered[step]
        return Others(values, len(values) if own is None else bisect_left(values, own))

    def _enter(self, trial: TrialRecord, step: int) -> None:
        value = self.summary(trial, bisect_right(trial.steps, step))
        self.of[step][trial.number] = value
        insort(self.ordered[step], value)

    def _leave(self, number: int, reached: int) -> None:
        for step in self.steps[: bisect_right(self.steps, reached)]:
            values = self.ordered[step]
            del values[bisect_left(values, self.of[step].pop(number))]


@dataclass(frozen=True)
class Others:
    """Sorted *values* without the one at index *left_out*, which may be past their end."""

    values: list[float]
    left_out: int

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.values) - (self.left_out < len(self.values))

    def __getitem__(self, rank: int) -> float:
        """Return the value with *rank* smaller ones, counted from 0."""
        return self.values[rank + (rank >= self.left_out)]

    def quantile(self, share: float) -> float:
        """Return the value below which *share* of them lie, interpolated between two."""
        at = share * (len(self) - 1)
        low, high = self[math.floor(at)], self[math.ceil(at)]
        return low if low == high else low + (high - low) * (at - math.floor(at))


def kept(summary: Summary, goals: Goals) -> Summary:
    """Return *summary*, infinite for a trial that breaks a constraint there: it is no measure for others."""
    if not goals.constraints:
        return summary

    def found(trial: TrialRecord, reports: int) -> float:
        broken = reports > 0 and goals.breaks(trial, reports - 1)
        return math.inf if broken else summary(trial, reports)

    return found


def bounds_broken(history: History, trial: TrialRecord, others: Others, minimum: int) -> str:
    """Return the words for a trial that breaks a constraint now which earlier runs kept, else "".

    *minimum* of them, and a quarter: a bound on accuracy is kept by nobody at first.
    """
    enough = max(minimum, math.ceil(len(others) / 4))
    if not history.goals.breaks(trial, -1) or len(others) < enough:
        return ""
    if math.isinf(others[enough - 1]):
        return ""
    bounds = " and ".join(map(str, history.goals.constraints))
    return (
        f"at epoch {trial.step} it breaks {bounds}, which {enough} or more earlier runs keep there"
    )


def running_average(trial: TrialRecord, reports: int) -> float:
    """Return the mean loss of the first *reports* reports; infinite without any."""
    return trial.loss_sums[reports - 1] / reports if reports else math.inf
