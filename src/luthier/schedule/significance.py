"""Abandon a trial when it is significantly worse than earlier runs were at the same step.

The median rule asks whether a trial is worse than the median; near it, noise decides. This one asks
whether the difference is more than noise: the trial's level must lie above an upper confidence bound of
the median (by order statistics: David & Nagaraja 2003, section 7.1), even if noise alone had raised it
by as much as it does in one of *1/level* cases. Noise is estimated from the curves: from their second
differences, which a smooth curve hardly has (Rice 1984).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from luthier.errors import StudyError
from luthier.schedule.curves import ByStep, bounds_broken, kept
from luthier.schedule.settings import real, whole
from luthier.schedule.stopping import Stopping
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.records import TrialRecord

_WINDOW = 5  # reports that a level is the median of
_READ = 24  # last reports that noise is read from
_FEWEST = 5  # reports that show noise
_POOL = 25  # runs whose noise is pooled while a trial has too few reports
_DEVIATION = 1.4826  # of a normal, in units of its median absolute deviation


@dataclass(frozen=True)
class Significance(Stopping):
    """Full training, cut short for what is significantly worse than the median of the runs before it.

    Attributes:
        minimum: other trials that must have come as far before anybody is abandoned; of so few that all
            may lie below the median more often than *level* (fewer than 7 at 0.01) nothing follows.
        level: the share of trials as good as the median that each look may abandon by mistake.
    """

    grace: int = 2
    minimum: int = 5
    level: float = 0.01

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole or below what it can be, or a level that is not between
                0 and 0.5.
        """
        super().__post_init__()
        whole(self, minimum=2)
        real(self, "level")
        if not 0 < self.level < 0.5:
            raise StudyError(f"Significance: level must lie between 0 and 0.5, got {self.level!r}.")

    def against(self, history: History, trial: TrialRecord) -> str:
        """Return the words for a trial that is worse than noise explains."""
        table = followed(history, "levels", lambda: ByStep(kept(_level, history.goals)))
        others = table.others(trial, trial.step)
        count = len(others)
        if count < self.minimum:
            return ""
        if said := bounds_broken(history, trial, others, self.minimum):
            return said
        if 0.5**count > self.level:  # as often the largest of them is below what it should bound
            return ""
        z = NormalDist().inv_cdf(1 - self.level)
        rank = math.ceil(count / 2 + 0.5 * z * math.sqrt(count))
        bar = others[min(rank, count - 1)]
        noise = noise_of(trial.losses)
        if noise is None:
            noise = _pooled(table, trial)
        reports = min(len(trial.steps), _WINDOW)
        level = _level(trial, len(trial.steps))
        # A median of n normal values varies √(π/2) times as much as their mean.
        surely = level - z * noise * math.sqrt((math.pi / 2 if reports > 2 else 1) / reports)
        if not surely > bar or trial.best_loss <= others.quantile(0.5):
            return ""
        return (
            f"at epoch {trial.step} it is at {history.value(level):.4g} (noise {noise:.2g}), and "
            f"{history.value(bar):.4g} bounds the median of {count} earlier runs there: worse, "
            f"p < {self.level:g}"
        )


def noise_of(losses: Sequence[float]) -> float | None:
    """Return the standard deviation of *losses* round a smooth curve; None where too few show it."""
    last = [loss for loss in losses[-_READ:] if math.isfinite(loss)]
    if len(last) < _FEWEST:
        return None
    bends = [abs(a - 2 * b + c) for a, b, c in zip(last, last[1:], last[2:], strict=False)]
    return _DEVIATION * median(bends) / math.sqrt(6)


def _level(trial: TrialRecord, reports: int) -> float:
    """Return the median of the last reports up to that one; infinite without any."""
    last = trial.losses[max(0, reports - _WINDOW) : reports]
    return median(last) if last else math.inf


def _pooled(table: ByStep, trial: TrialRecord) -> float:
    """Return the median noise of other runs: the first ones that have shown theirs."""
    found: list[float] = []
    for other in table.trials.values():
        if other is not trial and (noise := noise_of(other.losses)) is not None:
            found.append(noise)
            if len(found) == _POOL:
                break
    return median(found) if found else 0.0
