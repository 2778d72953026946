"""The median stopping rule (Golovin et al. 2017, "Google Vizier", section 3.2.1).

Abandon a trial at step s when its best objective by step s is strictly worse than the median of the
running averages up to step s of the other trials that have come as far.

The paper counts those that were completed. Here those still running and those abandoned further on count as
well, as in Ray Tune: with many workers nobody is completed for long, and among the completed alone are only
those that the rule let pass, which would raise the bar from trial to trial.
"""

from __future__ import annotations

from dataclasses import dataclass

from luthier.errors import StudyError
from luthier.schedule.curves import ByStep, bounds_broken, kept, running_average
from luthier.schedule.settings import real, whole
from luthier.schedule.stopping import Stopping
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class MedianStopping(Stopping):
    """Full training, cut short for what is worse than the median of the runs before it.

    Attributes:
        minimum: other trials that must have come as far before anybody is abandoned: completed, running
            or abandoned since.
        percentile: how many in a hundred of the others' running averages are better than the bar; 50
            is the median, 75 is gentler, 25 keeps the best quarter.
    """

    minimum: int = 3
    percentile: float = 50

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole or below what it can be, or a percentile above 100.
        """
        super().__post_init__()
        whole(self, minimum=1)
        real(self, percentile=0)
        if self.percentile > 100:
            raise StudyError(
                f"MedianStopping: percentile must lie between 0 and 100, got {self.percentile!r}."
            )

    def against(self, history: History, trial: TrialRecord) -> str:
        """Return the words for a trial whose best so far is worse than the bar."""
        goals = history.goals
        table = followed(history, "averages", lambda: ByStep(kept(running_average, goals)))
        others = table.others(trial, trial.step)
        if len(others) < self.minimum:
            return ""
        if said := bounds_broken(history, trial, others, self.minimum):
            return said
        bar = others.quantile(self.percentile / 100)
        if trial.best_loss <= bar:
            return ""
        rule = "median" if self.percentile == 50 else f"{self.percentile:g}th percentile"
        return (
            f"its best by epoch {trial.step}, {history.value(trial.best_loss):.4g}, is worse than "
            f"{history.value(bar):.4g}, the {rule} of {len(others)} earlier runs up to there"
        )
