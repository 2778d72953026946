"""PASHA: ASHA whose highest rung rises only while it changes who is best.

Bohdal et al. 2023, "PASHA: Efficient HPO and NAS with progressive resource allocation", Algorithm 1:
training goes up to the second rung at first. When the ranking in the highest rung differs from that of
the same trials one rung below, by more than noise explains, the next rung is opened. Noise, section 4.3:
trials whose curves cross more than once while they train together are as good as each other.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import combinations, islice, pairwise
from statistics import quantiles

from luthier.errors import StudyError
from luthier.schedule.asha import ASHA
from luthier.schedule.rungs import Place
from luthier.study.following import followed
from luthier.study.history import History
from luthier.study.records import TrialRecord

_LOWEST = 1  # index of the highest rung at first
_PAIRS = 300  # pairs of trials that noise is estimated from
_COMPARED = 30  # best trials whose ranking counts: a decision stays cheap


@dataclass(frozen=True)
class PASHA(ASHA):
    """Progressive asynchronous successive halving; settings as for ``ASHA``, but that trials pause."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: as for ``ASHA``; trials are to go on without a pause.
        """
        super().__post_init__()
        if self.stops:
            raise StudyError(
                "PASHA: stops=True leaves nothing of it, as trials that do not pause are past the highest "
                "rung before it is known whether to open the next one. Take ASHA(stops=True), or let them "
                "pause."
            )

    def top(self, history: History) -> int:
        """Return the index of the highest rung that trials may be promoted to.

        Once a trial was promoted to a rung it stays open: that is in the history.
        """
        kept = followed(history, ("top", self), _Top)
        if kept.index is None:
            kept.index = self._top(history)
        return kept.index

    def _top(self, history: History) -> int:
        steps = self.steps
        rungs = self.rungs(history)
        reached = max((i for i, places in enumerate(rungs.arrived) if places), default=0)
        running = max((t.to_step or 0 for t in history.active.values()), default=0)
        while reached + 1 < len(steps) and steps[reached] < running:
            reached += 1
        top = min(max(reached, _LOWEST), len(steps) - 1)
        if top + 1 < len(steps) and not self._stable(history, top):
            return top + 1
        return top

    def _stable(self, history: History, top: int) -> bool:
        """Return whether the trials of the highest rung rank there as they did one rung below."""
        rungs = self.rungs(history)
        above = rungs.arrived[top][:_COMPARED]
        if len(above) < 2:
            return True
        here = sorted(number for _, number in above)
        below = sorted(rungs.known[number][0][top - 1] for number in here)
        both = [history.trials[number] for number in here]
        return ranked_alike(above, below, tolerance(both, self.steps[top]))

    def _why_left_out(self, history: History, trial: TrialRecord) -> str:
        """Return in words why a paused trial is not promoted."""
        top = self.steps[self.top(history)]
        if trial.step < top:
            return super()._why_left_out(history, trial)
        return f"training beyond epoch {top} was not called for: the ranking had settled by then"


@dataclass(eq=False)
class _Top:
    """The index of the highest rung, found once until a trial changes: it is asked for several times."""

    index: int | None = None

    def take(self, trial: TrialRecord) -> None:
        """Forget what was found before *trial* changed."""
        self.index = None


def ranked_alike(above: list[Place], below: list[Place], noise: float) -> bool:
    """Return whether each trial's place above is one that losses within *noise* could give it below.

    The paper's soft ranking (section 4.2): at each rank of the upper rung stands a trial whose loss in
    the lower one is within *noise* of whoever has that rank there.
    """
    losses = {number: loss for loss, number in below}
    return all(
        abs(losses[number] - loss) <= noise
        for (_, number), (loss, _) in zip(above, below, strict=True)
    )


def tolerance(trials: list[TrialRecord], up_to: int) -> float:
    """Return the difference of losses that is mere noise: the 90th percentile over crossing pairs.

    Zero while no pair of curves has crossed and crossed back.
    """
    curves = [trial.losses[: bisect_right(trial.steps, up_to)] for trial in trials]
    found: list[float] = []
    for one, other in islice(combinations(curves, 2), _PAIRS):
        common = [a - b for a, b in zip(one, other, strict=False)]
        signs = [difference > 0 for difference in common if difference]
        if sum(a != b for a, b in pairwise(signs)) >= 2:
            found.append(abs(common[-1]))
    if len(found) < 2:
        return found[0] if found else 0.0
    return quantiles(found, n=10, method="inclusive")[-1]
