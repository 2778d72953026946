"""What a Gaussian process makes of a study: surrogates of its objectives, constraints, time, limits.

Hyperparameters are learned again whenever the trials have grown by an eighth, from trials alone and from
no earlier fit, so any process finds the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from luthier.search.columns import Columns
from luthier.search.observations import Observations
from luthier.search.order import broken
from luthier.search.surrogate.acquisition import Below, Cheaper, Improvement, Surrogate, Term
from luthier.search.surrogate.gaussian import Hyperparameters, Posterior, condition, fit
from luthier.search.surrogate.hypervolume import (
    VolumeImprovement,
    best_of,
    boxes,
    reference_point,
)
from luthier.search.surrogate.skew import evened
from luthier.search.transfer import Source, blended

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST = 200  # trials that a surrogate is conditioned on: time per proposal stays flat
_LEARNED_FROM = 150  # trials that its hyperparameters are learned from
_LEARNED_ANEW = 64  # and from where they are learned for every proposal
_WORTH = 3.0  # the dear tenth of trials must take so many times as long as the cheap one to count


@dataclass(frozen=True)
class Models:
    """The surrogates of one study at one moment.

    Attributes:
        seen: the trials.
        columns: the space.
        sources: earlier studies to learn from.
    """

    seen: Observations
    columns: Columns
    sources: tuple[Source, ...] = ()

    def terms(self, hurry: float = 0.0) -> tuple[tuple[Term, ...], Array]:
        """Return the acquisition's terms, and good places (m, d) to look around, the best first.

        Args:
            hurry: how much a trial's time counts, from 0 to 1.
        """
        import numpy as np

        chosen = subset(self.seen.points, self.seen.losses, self.columns, MOST)
        points = self.seen.points[chosen]
        objectives = [self._objective(j, chosen) for j in range(self.seen.outcomes.shape[1])]
        features = self.columns.features(points)
        expected = np.column_stack([each.predict(features)[0] for each in objectives])
        bounds = self._bounds()
        keeps = np.ones(len(points), dtype=bool)
        if bounds:
            keeps = broken(self.seen.excesses[chosen]) <= 0
        terms: list[Term] = [*bounds]
        if keeps.any():
            # Where trials are under way what they are expected to bring is no news any more.
            front = np.concatenate([expected[keeps], self._promised(objectives, bounds)])
            terms.append(_improvement(objectives, front))
        if len(self.seen.infeasible):
            terms.append(Below(self._infeasible(), 0.0))
        if hurry > 0 and (time := self._time(chosen)) is not None:
            surrogate, spread = time
            terms.append(Cheaper(surrogate, hurry * spread))
        by_expectation = expected.shape[1] == 1 and bool(keeps.any())
        by_goodness = expected[:, 0] if by_expectation else self.seen.losses[chosen]
        order = np.lexsort((by_goodness, ~keeps))
        return tuple(terms), points[order]

    def _promised(self, objectives: list[Surrogate], bounds: list[Term]) -> Array:
        """Return what pending trials that probably keep the bounds are expected to bring (p, k)."""
        import numpy as np

        features = self.columns.features(self._waiting[-MOST:])
        kept = np.ones(len(features), dtype=bool)
        if not len(features):
            return np.zeros((0, len(objectives)))
        if bounds:
            kept = np.sum([bound.value(features) for bound in bounds], axis=0) > math.log(0.5)
        return np.column_stack([each.predict(features)[0] for each in objectives])[kept]

    def best(self, among: Collection[int], losses: Array) -> int | None:
        """Return which of the trials *among* has the best expected first objective of those that count.

        Args:
            among: numbers of trials.
            losses: (n,) what each trial that is known has come to, carried nowhere.

        Returns:
            The number; None where the surrogate was conditioned on none of them.
        """
        import numpy as np

        rows = np.flatnonzero(np.isin(self.seen.numbers, list(among)))
        if not len(rows):
            return None
        points, losses = self.seen.points[rows], losses[rows]
        chosen = subset(points, losses, self.columns, MOST)
        model = self._process(points, losses, chosen, self._learned_from)
        expected, _ = model.predict(self.columns.features(points[chosen]))
        if self.seen.excesses.shape[1]:
            bad = broken(self.seen.excesses[rows][chosen]) > 0
            expected = np.where(bad & ~bad.all(), np.inf, expected)
        alike = np.flatnonzero(expected <= expected.min() + 1e-9)  # repeats: the best of them
        at = alike[np.argmin(losses[chosen][alike])]
        return int(self.seen.numbers[rows][chosen][at])

    def _objective(self, index: int, chosen: NDArray[np.intp]) -> Surrogate:
        """Return the surrogate of one objective, pending trials included at their expectation."""
        if index == 0 and len(self.seen.levels) > 1:
            return self._by_levels()
        losses = self.seen.outcomes[:, index]
        known = self._process(self.seen.points, losses, chosen, self._learned_from)
        sources, expecting = self.sources if index == 0 else (), self._expecting(self._waiting)
        return blended(known, (), sources, self.columns, len(chosen), expecting)

    def _by_levels(self) -> Surrogate:
        """Return the blend of a surrogate for each budget, weighted by how it ranks the highest one.

        Earlier studies are blended in as if they were a lower budget.
        Li et al. 2021, "MFES-HB: Efficient Hyperband with multi-fidelity quality measurements".
        """
        found: list[Posterior] = []
        for level in self.seen.levels:
            chosen = subset(level.points, evened(level.losses), self.columns, MOST)
            found.append(self._process(level.points, level.losses, chosen, _LEARNED_FROM))
        *lower, own = found
        trials, expecting = len(self.seen.losses), self._expecting(self.seen.pending)
        return blended(own, tuple(lower), self.sources, self.columns, trials, expecting)

    def _process(
        self, points: Array, losses: Array, chosen: NDArray[np.intp], most: int
    ) -> Posterior:
        """Return the process of *losses* (n,) at *points* (n, d), without pending trials."""
        values, groups = evened(losses), self.columns.groups
        early = _milestone(len(values))
        hyperparameters = learned(
            self.columns, points[:early], evened(losses[:early]), most, bent=self._bent
        )
        features = self.columns.features(points[chosen])
        return condition(hyperparameters, groups, features, values[chosen])

    def _expecting(self, pending: Array) -> Callable[[Posterior], Posterior]:
        """Return what gives a process the *pending* trials (p, d), at what it expects of them."""
        import numpy as np

        features = self.columns.features(pending[-MOST:])

        def expecting(known: Posterior) -> Posterior:
            if not len(features):
                return known
            expected, _ = known.predict(features)
            places = np.concatenate([known.features, features])
            values = np.concatenate([known.values, expected])
            return condition(known.hyperparameters, np.arange(places.shape[1]), places, values)

        return expecting

    @property
    def _waiting(self) -> Array:
        """Return the places (p, d) of trials without a value in every objective so far."""
        import numpy as np

        return np.concatenate([self.seen.partial, self.seen.pending])

    def _bounds(self) -> list[Term]:
        """Return the probability, a constraint each, that a trial keeps it."""
        import numpy as np

        found: list[Term] = []
        for column in self.seen.excesses.T:
            finite = np.isfinite(column)
            if finite.sum() < 2:
                continue
            if not self.seen.carried:  # measured at the end and not there: the training broke it
                worst = max(column[finite].max(), np.abs(column[finite]).mean(), 1e-12)
                column = np.where(finite, column, worst)
            known = np.flatnonzero(np.isfinite(column))
            with_zero = evened(np.append(column[known], 0.0))  # what 0 becomes is the threshold
            values, threshold = with_zero[:-1], float(with_zero[-1])
            points = self.seen.points[known]
            chosen = subset(points, np.abs(values - threshold), self.columns, MOST)
            early = known[: _milestone(len(known))]
            hyperparameters = self._learned(
                self.seen.points[early], evened(np.append(column[early], 0.0))[:-1]
            )
            features = self.columns.features(points[chosen])
            model = condition(hyperparameters, self.columns.groups, features, values[chosen])
            found.append(Below(model, threshold))
        return found

    def _infeasible(self) -> Posterior:
        """Return a surrogate that is positive where training is impossible."""
        import numpy as np

        seen = self.seen
        bad = seen.infeasible[-MOST // 2 :]
        chosen = subset(seen.points, seen.losses, self.columns, MOST // 2)
        points = np.concatenate([seen.points[chosen], bad])
        labels = np.concatenate([-np.ones(len(chosen)), np.ones(len(bad))])
        hyperparameters = self._learned(*self._feasibility_until_milestone())
        groups = self.columns.groups
        return condition(hyperparameters, groups, self.columns.features(points), labels)

    def _feasibility_until_milestone(self) -> tuple[Array, Array]:
        """Return places and labels of what the feasibility's hyperparameters are learned from.

        The trials up to a milestone, or up to one of those that could not be trained where that is later:
        the first of them are news.
        """
        import numpy as np

        seen, half = self.seen, self._learned_from // 2
        count, bad = len(seen.numbers) + len(seen.infeasible), seen.infeasible_numbers
        last = np.sort(np.concatenate([seen.numbers, bad]))[min(_milestone(count), count) - 1]
        last = max(last, bad[min(_milestone(len(bad)), len(bad)) - 1])
        sound = np.flatnonzero(seen.numbers <= last)
        sound = sound[np.linspace(0, len(sound) - 1, min(len(sound), half)).astype(np.intp)]
        infeasible = seen.infeasible[bad <= last][-half:]
        points = np.concatenate([seen.points[sound], infeasible])
        return points, np.concatenate([-np.ones(len(sound)), np.ones(len(infeasible))])

    def _time(self, chosen: NDArray[np.intp]) -> tuple[Posterior, float] | None:
        """Return a surrogate of the logarithm of a trial's time, in units of its deviation, and that.

        None where all take about the same.
        """
        if not times_differ(self.seen):
            return None
        logs = _log_seconds(self.seen)
        spread = float(logs.std())
        values = (logs - logs.mean()) / spread
        early = _milestone(len(values))
        hyperparameters = self._learned(self.seen.points[:early], values[:early])
        features = self.columns.features(self.seen.points[chosen])
        return condition(hyperparameters, self.columns.groups, features, values[chosen]), spread

    def _learned(self, points: Array, values: Array) -> Hyperparameters:
        return learned(self.columns, points, values, self._learned_from)

    @property
    def _bent(self) -> bool:
        # One hyperparameter is soon known everywhere; short trainings' losses have trends of their own.
        short = self.seen.cut_short or len(self.seen.levels) > 1
        return self.columns.dimension > 1 and not short

    @property
    def _learned_from(self) -> int:
        # Carried losses are others after every report: what was learned from them never serves twice.
        return _LEARNED_ANEW if self.seen.carried else _LEARNED_FROM


def times_differ(seen: Observations) -> bool:
    """Return whether some trials take several times as long as others."""
    import numpy as np

    logs = _log_seconds(seen)
    if len(logs) < 4:
        return False
    low, high = np.quantile(logs, [0.1, 0.9])
    return bool(high - low >= math.log(_WORTH))


def _log_seconds(seen: Observations) -> Array:
    import numpy as np

    return np.log(np.maximum(seen.seconds, 1e-9))


def _improvement(objectives: list[Surrogate], expected: Array) -> Term:
    """Return what there is to gain over the expectations (n, k) of the trials that count."""
    if len(objectives) == 1:
        return Improvement(objectives[0], float(expected.min()))
    front = expected[best_of(expected)]
    return VolumeImprovement(tuple(objectives), boxes(front, reference_point(front, expected)))


def _milestone(count: int) -> int:
    """Return the last of 2, 3, …, 16, 18, 20, 22, 24, 27, … that *count* has reached."""
    at = 2
    while (following := at + max(1, at // 8)) <= count:
        at = following
    return at


def subset(points: Array, losses: Array, columns: Columns, most: int) -> NDArray[np.intp]:
    """Return at most *most* trials: the best, those near the best one, and some from everywhere."""
    import numpy as np

    count = len(losses)
    if count <= most:
        return np.arange(count)
    order = np.argsort(losses, kind="stable")
    best = order[: most // 4]
    features = columns.features(points)
    distances = np.sum((features - features[order[0]]) ** 2, axis=1)
    near = np.argsort(distances, kind="stable")[: most // 2]
    spread = np.linspace(0, count - 1, most // 4).astype(np.intp)
    return np.unique(np.concatenate([best, near, spread]))


def learned(
    columns: Columns,
    points: Array,
    values: Array,
    most: int = _LEARNED_FROM,
    *,
    bent: bool = False,
) -> Hyperparameters:
    """Return the hyperparameters that *values* (n,) at *most* of the *points* (n, d) suggest."""
    import numpy as np

    chosen = subset(points, values, columns, most)
    points, values = np.ascontiguousarray(points[chosen]), values[chosen]
    return _fitted(columns, points.tobytes(), values.tobytes(), bent)


@lru_cache(maxsize=64)
def _fitted(columns: Columns, points: bytes, values: bytes, bent: bool) -> Hyperparameters:
    import numpy as np

    places = np.frombuffer(points).reshape(-1, columns.dimension)
    features = columns.features(places)
    return fit(features, columns.groups, np.frombuffer(values), columns.dimension, bent=bent)
