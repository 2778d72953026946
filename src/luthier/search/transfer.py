"""What earlier studies of similar spaces are worth: first proposals, and a blend of surrogates.

Each earlier study has a surrogate of its own. They are blended with this study's by how often each is
the one that ranks this study's trials best (Feurer, Letham & Bakshy 2018, "Scalable meta-learning for
Bayesian optimization using ranking-weighted Gaussian process ensembles"). A study that misleads ranks
them badly and has no weight after a few trials; one that is similar ranks them well for ever, and would
hold the search at its own optimum, so each is heard less with every trial.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from luthier.search.columns import Columns
from luthier.search.observations import placed
from luthier.search.surrogate.gaussian import Posterior, condition, fit
from luthier.search.surrogate.skew import evened
from luthier.space import Space
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEWEST = 5  # trials that make an earlier study worth a surrogate, and worth to be taken over
_MOST = 100  # trials that it keeps
_SAMPLES = 128  # of the ranking losses
_COMPARED = 60  # trials that are ranked
_HEARD = 6  # trials, for each hyperparameter and one, after which an earlier study is heard no more


@dataclass(frozen=True, eq=False)
class Source:
    """An earlier study: *points* (n, d) in this study's space, and *losses* (n,), the best first."""

    study: str
    points: Array
    losses: Array


def sources_of(history: History, space: Space) -> tuple[Source, ...]:
    """Return the earlier studies that have enough trials inside *space*."""
    if not history.earlier:
        return ()
    kept = _kept.get(history)
    if kept is None or kept[0] is not space or kept[1] != len(history.earlier):
        found = tuple(filter(None, (_source(space, e) for e in history.earlier)))
        kept = _kept[history] = (space, len(history.earlier), found)
    return kept[2]


_kept: weakref.WeakKeyDictionary[History, tuple[Space, int, tuple[Source, ...]]] = (
    weakref.WeakKeyDictionary()
)


def _source(space: Space, earlier: object) -> Source | None:
    import numpy as np

    from luthier.study.events import EarlierTrials

    assert isinstance(earlier, EarlierTrials)
    # What is constant here may have been another value there: that makes it no other space.
    rows = [placed(space, c, any_constants=True) for c in earlier.configurations]
    inside = [i for i, row in enumerate(rows) if row is not None]
    if len(inside) < FEWEST:
        return None
    losses = np.array([earlier.losses[i] for i in inside])
    order = np.argsort(losses, kind="stable")
    if len(order) > _MOST:
        half = _MOST // 2
        rest = order[half:]
        order = np.r_[order[:half], rest[np.linspace(0, len(rest) - 1, half).astype(np.intp)]]
    points = np.array([rows[i] for i in inside], dtype=np.float64)
    return Source(earlier.study, points[order], losses[order])


@dataclass(frozen=True)
class Blend:
    """A weighted sum of surrogates, all of standardised losses."""

    surrogates: tuple[Posterior, ...]
    weights: tuple[float, ...]

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return mean and variance at *features* (m, q), each of shape (m,)."""
        import numpy as np

        found = [each.predict(features) for each in self.surrogates]
        mean = np.sum([w * m for w, (m, _) in zip(self.weights, found, strict=True)], axis=0)
        variance = np.sum(
            [w * w * v for w, (_, v) in zip(self.weights, found, strict=True)], axis=0
        )
        return mean, variance

    def gradients(self, features: Array) -> tuple[Array, Array, Array, Array]:
        """Return mean, variance (m,) and their gradients (m, q)."""
        import numpy as np

        found = [each.gradients(features) for each in self.surrogates]
        powers = ((1, 0), (2, 1), (1, 2), (2, 3))
        mean, variance, mean_slope, variance_slope = (
            np.sum([w**p * f[i] for w, f in zip(self.weights, found, strict=True)], axis=0)
            for p, i in powers
        )
        return mean, variance, mean_slope, variance_slope


def blended(
    own: Posterior,
    others: tuple[Posterior, ...],
    sources: tuple[Source, ...],
    columns: Columns,
    trials: int,
    expecting: Callable[[Posterior], Posterior],
) -> Posterior | Blend:
    """Return *own* blended with *others* and *sources* by how well each ranks the trials that *own* knows.

    Of the weights of *sources* only a share counts that falls with the number of *trials*. This study's
    processes are weighed as they are given, and blended as *expecting* makes them: one that holds pending
    trials at its own expectations would be judged by these.
    """
    heard = max(0.0, 1.0 - trials / (_HEARD * (columns.dimension + 1)))
    lent = tuple(_surrogate(source, columns) for source in sources) if heard else ()
    shares = [1.0] * len(others) + [heard] * len(lent)
    if not shares:
        return expecting(own)
    *found, ours = _weights(own, (*others, *lent))
    weights = [w * share for w, share in zip(found, shares, strict=True)]
    weights.append(ours + sum(found) - sum(weights))
    models = (*others, *lent, own)
    mine = [True] * len(others) + [False] * len(lent) + [True]
    kept = [
        (expecting(model) if is_mine else model, weight)
        for model, is_mine, weight in zip(models, mine, weights, strict=True)
        if weight > 0
    ]
    if len(kept) == 1 and weights[-1] > 0:
        return kept[0][0]
    return Blend(tuple(model for model, _ in kept), tuple(w for _, w in kept))


@lru_cache(maxsize=32)
def _surrogate(source: Source, columns: Columns) -> Posterior:
    features, values = columns.features(source.points), evened(source.losses)
    found = fit(features, columns.groups, values, columns.dimension)
    return condition(found, columns.groups, features, values)


def _weights(own: Posterior, others: tuple[Posterior, ...]) -> list[float]:
    """Return how often each of *others* and *own* ranks *own*'s trials best, over resamples."""
    import numpy as np

    known = len(own.values)
    rows = np.linspace(0, known - 1, min(known, _COMPARED)).astype(np.intp)
    count = len(rows)
    generator = np.random.Generator(np.random.Philox(count))  # the same in any process
    before = own.values[rows][:, None] < own.values[rows][None, :]
    misranked = np.empty((len(others) + 1, _SAMPLES))
    for index, model in enumerate((*others, None)):
        found = own.left_out() if model is None else model.predict(own.features)
        mean, variance = (part[rows] for part in found)
        drawn = mean + np.sqrt(variance) * generator.standard_normal((_SAMPLES, count))
        misranked[index] = ((drawn[:, :, None] < drawn[:, None, :]) ^ before).sum(axis=(1, 2))
    # A source that is worse than most of our own predictions only dilutes (the same, section 4.3).
    usable = np.median(misranked, axis=1) <= np.quantile(misranked[-1], 0.95)
    usable[-1] = True
    misranked[~usable] = math.inf
    best = misranked == misranked.min(axis=0)
    return list(map(float, (best / best.sum(axis=0)).mean(axis=1)))
