"""CMA-ES: a normal distribution that learns where and along which directions good trials lie.

Hansen 2016, "The CMA evolution strategy: a tutorial"; with margin for what is discrete (Hamano et al.
2022, "CMA-ES with margin"); restarts with twice the population (Auger & Hansen 2005, IPOP). The evolution
itself is the package ``cmaes``; here it is replayed from the trials, so that any process has the same one.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.search.columns import Columns, columns_of
from luthier.search.novelty import early, first_new, untried
from luthier.search.observations import Observations, observe
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_STEP = 0.2  # of the unit cube: the deviation at the beginning
_FINE = 64  # values of an evenly spaced hyperparameter; with more it is continuous
_DRAWS = 32  # from which the first new one is taken
_KEPT = 16  # generations that are kept to go on from

Finished = list[tuple[int, float, "Array"]]  # number, loss and place of each trial
Generation = list[
    tuple[int, int]
]  # numbers of its trials, and their ranks: equal losses, equal ranks


@dataclass(frozen=True)
class CMAES:
    """Draws from the distribution that the finished generations have shaped.

    A generation is as many finished trials as the population is large, by their numbers, whoever
    proposed them; the first trials (the defaults and quasi-random ones) choose where it starts. While
    trials are running, more are drawn from the same distribution. What diverged or ran out of memory
    counts as the worst. Options of a choice are in a row, in the order in which they were given.

    Args:
        initial: trials before the evolution begins; by default one more than there are
            hyperparameters, from 4 to 12.
        population: trials of a generation, at least 2; by default 4 + ⌊3 ln d⌋ (Hansen 2016, table 1).

    Raises:
        StudyError: an argument that cannot be.
    """

    initial: int | None = None
    population: int | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, value, least in (
            ("initial", self.initial, 1),
            ("population", self.population, 2),
        ):
            given: Any = value
            if given is not None and (type(given) is not int or given < least):
                raise StudyError(
                    f"CMA-ES: {name} must be a whole number of at least {least}, or None, got {value!r}."
                )

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
            StudyError: the package ``cmaes`` is not installed.
        """
        seen = observe(history, space)
        first = self.initial or min(12, max(4, seen.dimension + 1))
        known = seen.numbers < first
        if number < first or not known.any() or seen.dimension == 0:
            return early(seen, history, space, number, chance)
        columns = columns_of(space)
        start = seen.points[known][seen.losses[known].argmin()]
        evolution = _kept.get(history)
        if evolution is None or not evolution.is_of(self, columns, start):
            evolution = _Evolution(self, columns, start, chance.seed)
            _kept[history] = evolution
        strategy = evolution.after(list(_finished(seen, first)))
        draws = [columns.rounded(x[None, :])[0] for x, _ in _draws(strategy, columns, chance)]
        found = first_new(_stacked(draws), seen, history, space)
        return found or untried(seen, history, space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None


def _stacked(rows: list[Array]) -> Array:
    import numpy as np

    return np.array(rows)


def _finished(seen: Observations, first: int) -> Iterator[tuple[int, float, Array]]:
    """Yield number, loss and place of the trials that count, by number; the worst loss for bad ones."""
    import numpy as np

    worst = float(seen.losses.max())
    numbers = np.concatenate([seen.numbers, seen.infeasible_numbers])
    losses = np.concatenate([seen.losses, np.full(len(seen.infeasible), worst)])
    points = np.concatenate([seen.points, seen.infeasible])
    for index in np.argsort(numbers, kind="stable"):
        if numbers[index] >= first:
            yield int(numbers[index]), float(losses[index]), points[index]


def _ranked(finished: Finished) -> Generation:
    losses = sorted({loss for _, loss, _ in finished})
    return [(number, losses.index(loss)) for number, loss, _ in finished]


def _draws(strategy: Any, columns: Columns, chance: Chance) -> Iterator[tuple[Array, Array]]:
    """Yield places to train and places to tell, in the order in which a trial tries them."""
    strategy.reseed_rng(chance.of("cma").integer())
    for _ in range(_DRAWS):
        to_train, to_tell = strategy.ask()
        yield to_train[: columns.dimension], to_tell


_kept: weakref.WeakKeyDictionary[History, _Evolution] = weakref.WeakKeyDictionary()


@dataclass(eq=False)
class _Evolution:
    """The strategy after each generation; the newest ones are kept to go on from."""

    settings: CMAES
    columns: Columns
    start: Array
    seed: int
    generations: list[Generation] = field(default_factory=list[Generation])
    states: dict[int, tuple[Any, int, int]] = field(
        default_factory=dict[int, "tuple[Any, int, int]"]
    )

    def is_of(self, settings: CMAES, columns: Columns, start: Array) -> bool:
        """Return whether it began like this."""
        import numpy as np

        same = self.settings == settings and self.columns is columns
        return same and np.array_equal(self.start, start, equal_nan=True)

    def after(self, finished: Finished) -> Any:
        """Return the strategy after all whole generations of *finished* trials."""
        self._go_back_to_what_is_the_same(finished)
        if not self.states:
            self.states[0] = (self._new(0), 0, 0)
        at = max(self.states)
        strategy, restarts, used = self.states[at]
        while used + strategy.population_size <= len(finished):
            part = finished[used : used + strategy.population_size]
            strategy = copy.deepcopy(strategy)
            generation = _ranked(part)
            draws = [self._to_tell(strategy, number, place) for number, _, place in part]
            strategy.tell([(x, rank) for x, (_, rank) in zip(draws, generation, strict=True)])
            used += len(part)
            if strategy.should_stop():
                restarts += 1
                strategy = self._new(restarts)
            self.generations.append(generation)
            at += 1
            self.states[at] = (strategy, restarts, used)
            self.states.pop(at - _KEPT, None)
        return strategy

    def _go_back_to_what_is_the_same(self, finished: Finished) -> None:
        """Drop the generations that the trials no longer give: one that was running has ended."""
        at = same = 0
        for generation in self.generations:
            if _ranked(finished[at : at + len(generation)]) != generation:
                break
            at, same = at + len(generation), same + 1
        if same == len(self.generations):
            return
        self.states = {g: state for g, state in self.states.items() if g <= same}
        del self.generations[same if self.states else 0 :]

    def _to_tell(self, strategy: Any, number: int, place: Array) -> Array:
        """Return the draw that trial *number* came from; its place where it was not one of them."""
        import numpy as np

        chance = Chance(self.seed, ("trial", number, "configuration"))
        for to_train, to_tell in _draws(strategy, self.columns, chance):
            rounded = self.columns.rounded(to_train[None, :])[0]
            if np.allclose(rounded, place, atol=1e-9, rtol=0, equal_nan=True):
                return to_tell
        found = np.full(strategy.dim, 0.5)
        found[: len(place)] = np.where(np.isnan(place), 0.5, place)
        return found

    def _new(self, restarts: int) -> Any:
        import numpy as np

        try:
            from cmaes import CMAwM
        except ImportError as error:
            raise StudyError(
                'CMA-ES needs the package cmaes: pip install "luthier[search]".'
            ) from error
        width = self.columns.dimension
        steps = np.zeros(max(2, width))  # one column more than there is, where there is one alone
        bounds = np.tile([0.0, 1.0], (max(2, width), 1))
        for column, domain in enumerate(self.columns.domains):
            count = domain.cardinality or 0
            if 1 < count <= _FINE and (self.columns.options[column] or _is_even(domain)):
                steps[column] = 1 / count
                bounds[column] = 0.5 / count, 1 - 0.5 / count
        mean = np.full(len(steps), 0.5)
        if restarts:
            chance = Chance(self.seed, ("cma restart", restarts))
            mean[:width] = chance.generator().random(width)
        else:
            mean[:width] = np.where(np.isnan(self.start), 0.5, self.start)
        usual = self.settings.population or 4 + int(3 * np.log(width))
        return CMAwM(
            np.clip(mean, bounds[:, 0], bounds[:, 1]),
            _STEP,
            bounds,
            steps,
            population_size=usual * 2**restarts,
            seed=0,
        )


def _is_even(domain: Any) -> bool:
    """Return whether the values of *domain* lie at equal distances in the unit cube."""
    return getattr(domain, "scale", "linear") == "linear"
