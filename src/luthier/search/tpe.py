"""The tree-structured Parzen estimator: draw near the good trials, away from the bad ones.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", section 4; multivariate as in BOHB
(Falkner et al. 2018, section 4.1); which parts matter: Watanabe 2023, "Tree-structured Parzen
estimator: understanding its algorithm components".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.search.columns import Columns, columns_of
from luthier.search.novelty import early, first_new, lent, untried
from luthier.search.observations import Observations, observe
from luthier.search.surrogate.parzen import density
from luthier.search.trainable import beside_trained
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MOST_BAD = 400  # kernels: time per proposal stays flat
_MOST_GOOD = 25


@dataclass(frozen=True)
class TPE:
    """Proposes where the density of good trials is highest over that of the others.

    Hyperparameters that are active together share a joint density, learned from the trials in which
    they are active. Pending trials count as bad ones, so that workers spread out. Trials that diverged
    or ran out of memory are bad ones too, and where they outweigh the others nothing is proposed.

    Args:
        initial: trials, the defaults and quasi-random ones, before the estimator takes over.
        candidates: draws from which each proposal is chosen.
        good: share of the trials that are good, above 0 and below 1.

    Raises:
        StudyError: an argument that cannot be.
    """

    initial: int = 10
    candidates: int = 128
    good: float = 0.1

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, value in (("initial", self.initial), ("candidates", self.candidates)):
            given: Any = value
            if type(given) is not int or given < 1:
                raise StudyError(f"TPE: {name} must be a whole number above 0, got {value!r}.")
        share: Any = self.good
        if type(share) not in (int, float) or not 0 < share < 1:
            raise StudyError(f"TPE: good must lie between 0 and 1, got {share!r}.")

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        seen = observe(history, space)
        if (found := lent(seen, history, space, number)) is not None:
            return found
        if number < self.initial or len(seen.losses) < 2 or seen.dimension == 0:
            late = number >= self.initial
            found = beside_trained(seen, history, space, chance) if late else None
            return found or early(seen, history, space, number, chance)
        ranked = self._ranked(seen, columns_of(space), chance.generator())
        found = first_new(ranked, seen, history, space, again=history.header.noisy)
        return found or untried(seen, history, space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None

    def _ranked(
        self, seen: Observations, columns: Columns, generator: np.random.Generator
    ) -> Array:
        """Return candidates (m, d), the most promising first: each group's best join, and so on."""
        import numpy as np

        rows = np.empty((self.candidates, columns.dimension))
        order = np.argsort(seen.losses, kind="stable")
        for indices in _groups(columns):
            group = list(indices)
            active = ~np.isnan(seen.points[:, group[0]])
            ranked = order[active[order]]
            best = min(_MOST_GOOD, math.ceil(self.good * len(ranked)))
            good = density(columns, indices, seen.points[ranked[:best]][:, group])
            rest = seen.points[np.sort(ranked[best:])][:, group]
            rest = rest[_evenly(len(rest), _MOST_BAD)]
            pending = _active(np.concatenate([seen.partial, seen.pending])[:, group])
            infeasible = _active(seen.infeasible[:, group])[-_MOST_BAD:]
            bad = density(columns, indices, np.concatenate([rest, pending, infeasible]))
            drawn = good.draw(self.candidates, generator)
            full = np.full((self.candidates, columns.dimension), 0.5)
            full[:, group] = drawn
            drawn = columns.rounded(full, active_only=False)[:, group]
            score = good.log(drawn) - bad.log(drawn)
            if len(infeasible):
                feasible = np.concatenate([seen.points[ranked[:best]][:, group], rest])
                score += _log_feasible(drawn, feasible, infeasible)
            rows[:, group] = drawn[np.argsort(-score, kind="stable")]
        return columns.rounded(rows)


@lru_cache(maxsize=16)
def _groups(columns: Columns) -> list[tuple[int, ...]]:
    """Return the columns that are active under the same condition, together."""
    found: dict[str, list[int]] = {}
    for index, domain in enumerate(columns.domains):
        found.setdefault(repr(domain.condition), []).append(index)
    return [tuple(indices) for indices in found.values()]


def _active(points: Array) -> Array:
    import numpy as np

    return points[~np.isnan(points).any(axis=1)]


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    """Return at most *most* indices below *count*, evenly spread."""
    import numpy as np

    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.intp)


def _log_feasible(points: Array, feasible: Array, infeasible: Array) -> Array:
    """Return the logarithm of how likely training is possible at *points* (m, g).

    By the nearest trial of either kind: halfway between them it is as likely as not, and it falls
    with the fourth power of the distances' ratio.
    """
    import numpy as np

    away = [
        np.abs(points[:, None, :] - known[None, :, :]).sum(axis=2).min(axis=1) + 1e-12
        for known in (feasible, infeasible)
        if len(known)
    ]
    if len(away) < 2:
        return np.zeros(len(points))
    return -np.logaddexp(0.0, 4.0 * np.log(away[0] / away[1]))
