"""Differential evolution: new trials from the differences between old ones.

Storn & Price 1997; mutation towards one of the best, "current-to-pbest/1" (Zhang & Sanderson 2009, JADE,
eq. 7), binomial crossover. A trial competes with the one in its place of the population, so the
population is, place by place, the best trial so far: nothing is carried from one proposal to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.search.columns import Columns, columns_of
from luthier.search.novelty import early, first_new, untried
from luthier.search.observations import Observations, observe
from luthier.search.widening import wider_since
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_CHILDREN = 32  # from which the first new one is taken


@dataclass(frozen=True)
class DifferentialEvolution:
    """Trial n competes for place n modulo the population's size.

    The first trials are the defaults and quasi-random ones, and so are the first after the space was
    widened: of those before, only the best one keeps its place. What diverged or ran out of memory never
    gets a place. An option of a choice is inherited from one parent; there is no arithmetic of options.

    Args:
        population: places, at least 4; by default 4 for each hyperparameter, from 10 to 40.
        factor: F, the largest share of a difference that is added, above 0 and at most 2; each child
            draws its own from half of it upwards (dither: Storn & Price).
        crossover: CR, the probability that a hyperparameter comes from the mutant, from 0 to 1.
        best: p, the share of the population that a child moves towards one of, above 0 and at most 1.

    Raises:
        StudyError: an argument that cannot be.
    """

    population: int | None = None
    factor: float = 0.8
    crossover: float = 0.9
    best: float = 0.2

    def __post_init__(self) -> None:
        """Check the arguments."""
        size: Any = self.population
        if size is not None and (type(size) is not int or size < 4):
            raise StudyError(
                "Differential evolution: population must be a whole number of at least 4, or None, "
                f"got {size!r}."
            )
        for name, value, low, high in (
            ("factor", self.factor, 1e-9, 2.0),
            ("crossover", self.crossover, 0.0, 1.0),
            ("best", self.best, 1e-9, 1.0),
        ):
            given: Any = value
            if type(given) not in (int, float) or not low <= given <= high:
                above = "above 0" if low else "from 0"
                raise StudyError(
                    f"Differential evolution: {name} must be a number {above} and at most {high:g}, "
                    f"got {value!r}."
                )

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        seen = observe(history, space)
        size = self.population or min(40, max(10, 4 * seen.dimension))
        begun = wider_since(history, number)
        ranked = _since(begun, replace(seen, numbers=_ranks(history, seen)))
        if number - begun < size or len(ranked.losses) < 4 or seen.dimension == 0:
            return early(seen, history, space, number, chance)
        children = self._children(ranked, columns_of(space), size, number, chance.generator())
        found = first_new(children, seen, history, space, again=history.header.noisy)
        return found or untried(seen, history, space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None

    def _children(
        self,
        seen: Observations,
        columns: Columns,
        size: int,
        number: int,
        generator: np.random.Generator,
    ) -> Array:
        """Return places (m, d) to try, in this order."""
        import numpy as np

        places, losses = _population(seen, size)
        inactive = np.isnan(places)
        places = np.where(inactive, generator.random(places.shape), places)
        count, width = places.shape
        own = _row(seen, size, number)
        current = places[own] if own is not None else places[generator.integers(count)]
        top = np.argsort(losses, kind="stable")[: max(1, round(self.best * count))]
        shape = (_CHILDREN, 1)
        share = self.factor * generator.uniform(0.5, 1.0, shape)
        guide = places[top[generator.integers(len(top), size=_CHILDREN)]]
        pairs = np.array([generator.choice(count, 2, replace=False) for _ in range(_CHILDREN)])
        one, other = places[pairs[:, 0]], places[pairs[:, 1]]
        mutant = current + share * (guide - current) + share * (one - other)
        # Beyond an edge: halfway between it and where the child started (JADE, section III.E).
        mutant = np.where(mutant < 0, current / 2, np.where(mutant > 1, (1 + current) / 2, mutant))
        options = np.array(columns.options) > 0
        parents = np.stack([np.broadcast_to(current, guide.shape), guide, one])
        which = generator.integers(3, size=(_CHILDREN, width))
        inherited = np.take_along_axis(parents, which[None], axis=0)[0]
        mutant[:, options] = inherited[:, options]
        crossed = generator.random((_CHILDREN, width)) < self.crossover
        crossed[np.arange(_CHILDREN), generator.integers(width, size=_CHILDREN)] = True
        return columns.rounded(np.where(crossed, mutant, current))


def _ranks(history: History, seen: Observations) -> NDArray[np.intp]:
    """Return the numbers of the trials (n,) as they are without a race's, by which places are given."""
    import numpy as np

    return np.searchsorted([trial.number for trial in history.trials], seen.numbers)


def _since(begun: int, seen: Observations) -> Observations:
    """Return *seen* without the trials before number *begun*, but for the best of them."""
    import numpy as np

    kept = seen.numbers >= begun
    if not begun or kept.all():
        return seen
    kept[np.argmin(np.where(kept, np.inf, seen.losses))] = True
    return replace(
        seen, numbers=seen.numbers[kept], points=seen.points[kept], losses=seen.losses[kept]
    )


def _population(seen: Observations, size: int) -> tuple[Array, Array]:
    """Return places (p, d) and losses (p,) of the best trial of each place that has one."""
    import numpy as np

    order = np.lexsort((-seen.numbers, seen.losses))  # of equal ones the newer: it may drift
    _, first = np.unique(seen.numbers[order] % size, return_index=True)
    chosen = order[first]
    if len(chosen) < 4:  # most places were taken by trials that diverged
        chosen = order[: min(size, len(order))]
    return seen.points[chosen], seen.losses[chosen]


def _row(seen: Observations, size: int, number: int) -> int | None:
    """Return the row of ``_population`` that trial *number* competes with, None for an empty place."""
    import numpy as np

    taken = np.unique(seen.numbers % size)
    at = int(np.searchsorted(taken, number % size))
    return at if len(taken) >= 4 and at < len(taken) and taken[at] == number % size else None
