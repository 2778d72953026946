"""PASHA: ASHA whose highest rung rises only while it changes who is best.

Bohdal et al. 2023, "PASHA: Efficient HPO and NAS with progressive resource allocation", Algorithm 1:
training goes up to the second rung at first. When the ranking in the highest rung differs from that of
the same trials one rung below, by more than noise explains, the next rung is opened. Noise, section 4.3:
trials whose curves cross more than once while they train together are as good as each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles

from luthier.schedule.asha import ASHA
from luthier.schedule.rungs import Place
from luthier.study.history import History
from luthier.study.records import TrialRecord

_LOWEST = 1  # index of the highest rung at first
_PAIRS = 300  # pairs of trials that noise is estimated from
_COMPARED = 30  # best trials whose ranking counts: a decision stays cheap


@dataclass(frozen=True)
class PASHA(ASHA):
    """Progressive asynchronous successive halving; settings as for ``ASHA``."""

    def top(self, history: History) -> int:
        """Return the index of the highest rung that trials may be promoted to.

        Once a trial was promoted to a rung it stays open: that is in the history.
        """
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
        here = {number for _, number in above}
        below = [place for place in rungs.arrived[top - 1] if place[1] in here]
        steps = self.steps
        both = [history.trials[number] for number in sorted(here)]
        return ranked_alike(above, below, tolerance(both, steps[top]))


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
    found: list[float] = []
    pairs = 0
    for index, one in enumerate(trials):
        for other in trials[index + 1 :]:
            pairs += 1
            if pairs > _PAIRS:
                break
            common = [
                a - b
                for step, a, b in zip(one.steps, one.losses, other.losses, strict=False)
                if step <= up_to
            ]
            signs = [difference > 0 for difference in common if difference]
            if sum(a != b for a, b in pairwise(signs)) >= 2:
                found.append(abs(common[-1]))
    if len(found) < 2:
        return found[0] if found else 0.0
    return quantiles(found, n=10, method="inclusive")[-1]
