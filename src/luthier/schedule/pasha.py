"""PASHA: ASHA whose highest rung rises only while it changes who is best.

Bohdal et al. 2023, "PASHA: Efficient HPO and NAS with progressive resource allocation", Algorithm 1:
training goes up to the second rung at first. When the ranking in the highest rung differs from that of
the same trials one rung below, by more than noise explains, the next rung is opened, for good. Noise,
section 4.3: trials whose curves cross more than once while they train together are as good as each other.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from statistics import quantiles

from luthier.errors import StudyError
from luthier.schedule.asha import ASHA
from luthier.schedule.rungs import Place, Rungs
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

        K_t of the paper: it never falls.
        """
        arrivals = followed(history, ("arrivals", self), lambda: _Arrivals(self.steps))
        if arrivals.top is None:
            arrivals.top = self._top(history, arrivals)
        return arrivals.top

    def _top(self, history: History, arrivals: _Arrivals) -> int:
        steps = self.steps
        rungs = self.rungs(history)
        reached = max((i for i, places in enumerate(rungs.arrived) if places), default=0)
        while reached + 1 < len(steps) and steps[reached] < arrivals.called:
            reached += 1
        top = min(max(reached, _LOWEST), len(steps) - 1)
        opens = top + 1 < len(steps) and arrivals.unsettled(top, rungs, history.trials)
        return top + opens

    def _why_left_out(self, history: History, trial: TrialRecord) -> str:
        """Return in words why a paused trial is not promoted."""
        top = self.steps[self.top(history)]
        if trial.step < top:
            return super()._why_left_out(history, trial)
        return f"training beyond epoch {top} was not called for: the ranking had settled by then"


@dataclass(eq=False)
class _Ranking:
    """Of those that came to a rung: the first *settled* ones, one by one, kept the ranking of the rung below.

    *changed*: with the next one it changed. *places* are those of all these, the best first, and *swings*
    what is known of pairs (``tolerance``).
    """

    settled: int = 0
    changed: bool = False
    places: list[Place] = field(default_factory=list[Place])
    swings: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])


@dataclass(eq=False)
class _Arrivals:
    """For each rung who came to it and no further, in the order in which they came.

    That order is in the history: the times of their last reports. A ranking is looked at once for each
    arrival, and a curve when it is new among the best: a decision costs the same after a thousand epochs.

    Attributes:
        steps: where each rung ends.
        top: the index of the highest rung, found once until a trial changes: it is asked for several times.
        called: the step to which somebody was promoted at most, whatever became of the trial.
    """

    steps: Sequence[int]
    top: int | None = None
    called: int = 0
    of: dict[int, tuple[int, float, int]] = field(default_factory=dict[int, tuple[int, float, int]])

    def __post_init__(self) -> None:
        self.order: list[list[tuple[float, int]]] = [[] for _ in self.steps]
        self.rankings = [_Ranking() for _ in self.steps]

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        self.top = None
        self.called = max(self.called, trial.to_step or 0)
        now = bisect_right(self.steps, trial.step) - 1, trial.last_sign, trial.rewound
        before = self.of.get(trial.number, (-1, 0.0, 0))
        if now == before:
            return
        self.of[trial.number] = now
        if now[2] != before[2]:
            for ranking in self.rankings:
                ranking.swings.clear()
        if before[0] >= 0:
            order, came = self.order[before[0]], (before[1], trial.number)
            at = bisect_left(order, came)
            del order[at]
            self._from(before[0], at)
        if now[0] >= 0:
            order, came = self.order[now[0]], (now[1], trial.number)
            at = bisect_left(order, came)
            order.insert(at, came)
            self._from(now[0], at)

    def unsettled(self, rung: int, rungs: Rungs, trials: Sequence[TrialRecord]) -> bool:
        """Return whether an arrival at *rung* changed the ranking of those that were there before."""
        order, ranking = self.order[rung], self.rankings[rung]
        if len(ranking.places) != ranking.settled and not ranking.changed:
            first = order[: ranking.settled]
            ranking.places = sorted(rungs.known[number][0][rung] for _, number in first)
        while not ranking.changed and ranking.settled < len(order):
            place = rungs.known[order[ranking.settled][1]][0][rung]
            insort(ranking.places, place)
            best = ranking.places[:_COMPARED]
            ranking.changed = place <= best[-1] and not self._alike(best, rung, rungs, trials)
            ranking.settled += not ranking.changed
        return ranking.changed

    def _from(self, rung: int, at: int) -> None:
        """Look again at the ranking of *rung* from arrival *at* on, where it was looked at."""
        ranking = self.rankings[rung]
        if at < ranking.settled or (at == ranking.settled and ranking.changed):
            ranking.settled, ranking.changed, ranking.places = at, False, []

    def _alike(
        self, best: list[Place], rung: int, rungs: Rungs, trials: Sequence[TrialRecord]
    ) -> bool:
        """Return whether the *best* trials of a rung rank there as they did one rung below."""
        numbers = sorted(number for _, number in best)
        below = sorted(rungs.known[number][0][rung - 1] for number in numbers)
        both = [trials[number] for number in numbers]
        noise = tolerance(both, self.steps[rung], self.rankings[rung].swings)
        return ranked_alike(best, below, noise)


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


def tolerance(
    trials: list[TrialRecord], up_to: int, known: dict[tuple[int, int], float] | None = None
) -> float:
    """Return the difference of losses that is mere noise: the 90th percentile over crossing pairs.

    Zero while no pair of curves has crossed and crossed back.

    Args:
        trials: of more than 25, 300 pairs are looked at, those of the first ones.
        up_to: the step that their curves are looked at up to, which they have come to.
        known: what is known of pairs from earlier calls for the same step; what is new is entered.
    """
    known = {} if known is None else known
    found: list[float] = []
    for one, other in islice(combinations(trials, 2), _PAIRS):
        pair = one.number, other.number
        if pair not in known:
            known[pair] = _swing(one, other, up_to)
        if math.isfinite(known[pair]):
            found.append(known[pair])
    if len(found) < 2:
        return found[0] if found else 0.0
    return quantiles(found, n=10, method="inclusive")[-1]


def _swing(one: TrialRecord, other: TrialRecord, up_to: int) -> float:
    """Return how far apart two curves are in the end that cross and cross back; infinite for others."""
    import numpy as np

    reports = min(bisect_right(trial.steps, up_to) for trial in (one, other))
    with np.errstate(invalid="ignore"):  # both may be infinite
        apart = np.array(one.losses[:reports]) - np.array(other.losses[:reports])
    above = apart[apart != 0] > 0
    crossings = np.count_nonzero(above[1:] != above[:-1])
    return float(abs(apart[-1])) if crossings >= 2 else math.inf
