"""Have we tried enough? The best of n trials, and the chance that more trials would still help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.errors import LuthierError, StudyError
from luthier.insight.order_statistics import beaten, chances, quantile
from luthier.insight.seed_noise import Noise, noise
from luthier.insight.trials import Source, history_of, reported, tried
from luthier.study.deciding import within_space
from luthier.study.history import History
from luthier.study.limits import Limits
from luthier.study.searched import searched
from luthier.study.words import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEWEST = 10  # trials, before anything is called enough
_LEAST = 0.1  # chance of a real improvement for which it is worth to go on
# Searchers whose trials come in an order that says nothing: they do not learn, and go through no list.
_BLIND = {"random", "sobol", "halton"}


@dataclass(frozen=True)
class BestOf:
    """What the best of *trials* trials is: the mean and the quartiles, in the objective's units.

    ``worst`` is the quartile on the side that nobody wants.
    """

    trials: int
    mean: float
    best: float
    median: float
    worst: float


@dataclass(frozen=True)
class Enough:
    """Whether a study should go on.

    Attributes:
        curve: the best of 1, 2, … trials.
        metric: that is asked about.
        trials: that there were, with a value or diverged.
        best: value of the best one.
        noise: of the objective.
        more: trials that are asked about; no more than a grid or a small space has left.
        chance: that they improve the best by more than the noise, in [0, 1]; nan where it cannot be told, as
            none of the later half of the trials has a finite value within the constraints.
        stop: whether the chance is too small to go on, or nothing is left to try.
        words: all of it in a sentence or two.
    """

    curve: tuple[BestOf, ...]
    metric: str
    trials: int
    best: float
    noise: Noise
    more: int
    chance: float
    stop: bool
    words: str

    def __str__(self) -> str:
        return self.words


def best_of(source: Source) -> tuple[BestOf, ...]:
    """Return what the best of n trials is, for n from 1 to the number of trials.

    Expected validation performance (Dodge et al. 2019) by draws without replacement, which makes it
    unbiased; see ``order_statistics``. Of a study whose searcher learns it describes trials like
    these in any order, not those that another run of the searcher would find. Trials that diverged
    count as the worst finite one. At most 200 values of n are returned, evenly spread.
    """
    import numpy as np

    history, losses = _losses(source)
    total = len(losses)
    counts = sorted({int(n) for n in np.rint(np.linspace(1, total, min(total, 200)))})
    curve: list[BestOf] = []
    for count in counts:
        weights = chances(total, count)
        best, median, worst = (
            history.value(quantile(losses, weights, share)) for share in (0.25, 0.5, 0.75)
        )
        curve.append(BestOf(count, history.value(float(weights @ losses)), best, median, worst))
    return tuple(curve)


def enough(source: Source, more: int | None = None, least: float = _LEAST) -> Enough:
    """Return whether more trials would help by more than the seed noise.

    If all orders of N + n trials are equally likely, whether the last n of them improve on the first N
    can be read off the N there are: leave out a share n / (N + n) of them, and see whether the rest
    is worse than all by more than the noise. It is when the k trials within the noise of the best are
    all among those left out: C(N − k, N′) / C(N, N′) with N′ = N² / (N + n) kept. Where the searcher
    learns, later trials are not like earlier ones: then only the later half of the trials is looked
    at, and has to improve on the best of all.

    Args:
        source: a study or its history.
        more: how many more trials are asked about; by default as many again as there are. Where a
            grid or a small space has fewer left, those.
        least: stop when the chance is below this.

    Raises:
        StudyError: no trial with a finite value; *more* below 1; *least* outside [0, 1].
    """
    import numpy as np

    if more is not None and more < 1:
        raise StudyError(f"more must be a whole number above 0, got {more!r}.")
    if not 0 <= least <= 1:
        raise StudyError(f"least must be a chance in [0, 1], got {least!r}.")
    history, losses = _losses(source)
    found, total = noise(history), len(losses)
    left = _left(history)
    more = total if more is None else more
    if left is not None:
        more = min(more, left)
    considered = losses
    if history.header.searcher["name"] not in _BLIND:
        considered = np.sort(reported(history, tried(source))[total // 2 :])
    chance = math.nan if more else 0.0
    if math.isfinite(considered[0]):  # else the later ones show nothing
        margin = found.deviation + max(0.0, float(considered[0] - losses[0]))
        near = int(np.sum(considered <= considered[0] + margin))
        kept = len(considered) * total / (total + more)
        chance = beaten(len(considered), near, kept)
    stop = more == 0 or (total >= FEWEST and chance < least)
    best = history.value(_best_loss(history))
    metric = history.objective.metric
    all_left = left is not None and more == left
    words = _words(metric, total, best, found, more, chance, stop, all_left=all_left)
    if found.deviation == 0 and more:
        words += _so_far(history)
    if len(history.goals.objectives) > 1:
        words += f" This is by {metric} alone: what more trials add to the front is not known."
    return Enough(best_of(source), metric, total, best, found, more, chance, stop, words)


def _left(history: History) -> int | None:
    """Return how many trials there are still to begin; None where the space has no end of them."""
    from luthier.run.opening import made_parts

    seen = searched(history)
    try:
        searcher, scheduler = made_parts(history.header)
        most = within_space(Limits(), searcher, scheduler, seen).trials
    except LuthierError:  # a searcher of the user's own, which only the user's program knows
        return None
    return None if most is None else max(0, most - len(seen.trials))


def _so_far(history: History) -> str:
    """Return what the later half of the trials brought: all there is to say where the noise is not known.

    The chance of any improvement at all is that of a record among so many, whatever was found.
    """
    order = [trial.number for trial in searched(history).trials]
    first = set(order[: len(order) // 2])
    before = next((trial for trial in history.ranking() if trial.number in first), None)
    if before is None:
        return ""
    return f" The first {len(first)} had brought {history.value(before.best_loss):.4g}."


def _losses(source: Source) -> tuple[History, Array]:
    """Return the history and the losses (n,), ascending, those that diverged as the worst finite one."""
    import numpy as np

    history = history_of(source)
    losses = reported(history, tried(source))
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        bounds = " and ".join(map(str, history.goals.constraints))
        kept = (
            "that keeps to " + bounds
            if history.best is not None and bounds
            else "with a finite value"
        )
        raise StudyError(f"There is no trial {kept} yet.")
    return history, np.sort(np.minimum(losses, finite.max()))


def _best_loss(history: History) -> float:
    assert history.best is not None  # some loss is finite
    return history.best.best_loss


def percent(chance: float) -> str:
    """Return a chance in [0, 1] for people; none is so small that it is 0."""
    return "less than 1 %" if chance < 0.01 else f"{100 * chance:.0f} %"


def _words(
    metric: str, total: int, best: float, found: Noise, more: int, chance: float, stop: bool,
    *, all_left: bool,
) -> str:  # fmt: skip
    so_far = f"the best {metric} is {best:.4g} after {counted(total, 'trial')}"
    if not more:
        return f"Everything that would be proposed was tried: {so_far}."
    if math.isnan(chance):
        return (
            f"Whether more trials would help cannot be told: {so_far}, and none of the later half of them has "
            "a value that counts."
        )
    asked = f"the {more} that are left" if all_left else f"{more} more"
    margin = "at all" if found.deviation == 0 else "by more than the seed noise"
    verdict = (
        "Enough was tried"
        if stop
        else "Going on may help"
        if total >= FEWEST
        else f"Too early to tell before {FEWEST} trials"
    )
    improve = f"{asked} would improve it {margin} with a chance of {percent(chance)}"
    return f"{verdict}: {so_far}, and {improve}; {found}."
