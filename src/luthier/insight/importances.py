"""Which hyperparameters matter, by fANOVA or PED-ANOVA, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from luthier.errors import StudyError
from luthier.insight import ped_anova
from luthier.insight.fanova import decompose
from luthier.insight.trials import Source, Tried, chance_of, enough_for, tried
from luthier.study.chance import Chance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Method = Literal["fanova", "ped_anova"]
FEWEST = 10  # trials with a finite value
_RESAMPLED = 50
_BEST = 20  # trials whose density says something
_INTERVAL = (0.05, 0.95)
_ROUNDING = 1e-12  # of what decides: no more than computing leaves where nothing does


@dataclass(frozen=True)
class Importance:
    """How much one hyperparameter matters.

    Attributes:
        name: its full name.
        share: for fANOVA of the objective's variance over the space, by this hyperparameter alone: the
            shares of all add up to less than 1 where some act together. For PED-ANOVA of what decides
            whether a trial is among the best: the shares add up to 1.
        low: end of the interval that holds nine in ten of the resampled trials' shares.
        high: its other end.
    """

    name: str
    share: float
    low: float
    high: float


def importance(
    source: Source,
    method: Method = "fanova",
    good: float | None = None,
    *,
    target: float | None = None,
) -> tuple[Importance, ...]:
    """Return how much each searched hyperparameter matters, the most important first.

    Args:
        source: a study or its history.
        method: ``"fanova"`` (Hutter, Hoos & Leyton-Brown 2014), the share of the variance, from a random
            forest; or ``"ped_anova"`` (Watanabe, Bansal & Hutter 2023), from densities.
        good: None looks at the whole space. A share of the trials, such as 0.25, asks what matters among
            that share of the best: PED-ANOVA looks at these trials only, and for fANOVA all others
            count as the worst of them.
        target: for PED-ANOVA, the share of those looked at that counts as the best; by default a tenth,
            and 20 trials at least where that is no more than half.

    Trials that diverged or ran out of memory count as the worst of those that did not. With several
    objectives, or constraints on outcomes, it is the importance for the trials' order (front by front,
    those that break a constraint last), not for any metric.

    Raises:
        StudyError: fewer than 10 trials with a finite value, an unknown method, no share in (0, 1].
    """
    found = tried(source)
    enough_for("Importance", found, FEWEST)
    for name, share in (("good", good), ("target", target)):
        if share is not None and not 0 < share <= 1:
            raise StudyError(f"{name} must be a share in (0, 1], got {share!r}.")
    if method == "fanova":
        shares = _by_fanova(found, good, chance_of(source, "importance"))
    elif method == "ped_anova":
        shares = _by_ped_anova(found, good, target, chance_of(source, "importance"))
    else:
        raise StudyError(f"Unknown method {method!r}: expected 'fanova' or 'ped_anova'.")
    named = [Importance(n, *row) for n, row in zip(found.columns.names, shares, strict=True)]
    return tuple(sorted(named, key=lambda i: -i.share))


def finite_losses(found: Tried, good: float | None) -> Array:
    """Return the losses (n,), none worse than the worst finite one; with *good*, than that share's."""
    import numpy as np

    finite = found.losses[np.isfinite(found.losses)]
    worst = finite.max() if good is None else np.sort(finite)[_count(good, len(finite)) - 1]
    return np.minimum(found.losses, worst)


def _by_fanova(
    found: Tried, good: float | None, chance: Chance
) -> list[tuple[float, float, float]]:
    import numpy as np

    decomposed = decompose(found, finite_losses(found, good), chance)
    shares: list[tuple[float, float, float]] = []
    for column in range(found.columns.dimension):
        variance, by_tree = decomposed.single(column)
        share = min(1.0, variance / decomposed.total)
        # Each tree saw the trials resampled, so the trees' spread is the interval; their level, which
        # holds the noise of a single tree, is not the forest's.
        low, high = np.quantile(by_tree, _INTERVAL) / (by_tree.mean() or 1.0)
        shares.append((share, min(share, share * low), min(1.0, max(share, share * high))))
    return [tuple(map(float, row)) for row in shares]  # type: ignore[misc]


def _by_ped_anova(
    found: Tried, good: float | None, target: float | None, chance: Chance
) -> list[tuple[float, float, float]]:
    import numpy as np

    order = np.argsort(found.losses, kind="stable")
    last = found.losses[order[_count(1.0 if good is None else good, len(order)) - 1]]
    order = order[: int(np.searchsorted(found.losses[order], last, side="right"))]
    losses, points, region = found.losses[order], found.points[order], len(order)
    drawn = chance.of("resampled").generator().multinomial(
        region, np.full(region, 1 / region), size=_RESAMPLED
    )  # fmt: skip
    weights = np.concatenate([np.ones((1, region)), drawn.astype(np.float64)])
    chosen = max(_count(0.1, region), min(_BEST, region // 2))
    if target is not None:
        chosen = _count(target, region)
    best = _best(losses, weights, min(chosen, int(np.isfinite(losses).sum())))
    found_ = ped_anova.variances(found.columns, points, weights, best)
    whole = found_.sum(axis=1, keepdims=True)
    shares = np.where(whole > _ROUNDING, found_ / np.maximum(whole, _ROUNDING), 0.0)
    low, high = np.quantile(shares[1:], _INTERVAL, axis=0)
    return [
        (float(s), float(min(s, a)), float(max(s, b)))
        for s, a, b in zip(shares[0], low, high, strict=True)
    ]


def _best(losses: Array, weights: Array, chosen: int) -> Array:
    """Return how often each trial counts among the best (s, n): as many as *chosen* in each sample.

    Trials of the same loss at the cut count in equal parts, as nothing puts one before another. One that
    diverged is none of the best.

    Args:
        losses: (n,) ascending.
        weights: (s, n) how often each trial was drawn.
        chosen: how many are the best.
    """
    import numpy as np

    values, first, group = np.unique(losses, return_index=True, return_inverse=True)
    size = np.add.reduceat(weights, first, axis=1)
    before = np.cumsum(size, axis=1) - size
    share = np.clip((chosen - before) / np.maximum(size, 1), 0.0, 1.0)
    share[:, ~np.isfinite(values)] = 0.0
    return weights * share[:, group]


def _count(share: float, count: int) -> int:
    return min(count, max(2, math.ceil(share * count)))
