"""CMA-ES: a normal distribution that learns where and along which directions good trials lie.

Hansen 2016, "The CMA evolution strategy: a tutorial"; with margin for what is discrete (Hamano et al.
2022, "CMA-ES with margin"); trials from elsewhere as in Hansen 2011, "Injecting external solutions into
CMA-ES"; restarts with twice the population (Auger & Hansen 2005, IPOP). The evolution itself is the
package ``cmaes``; here it is replayed from the trials, so that any process has the same one.
"""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.search.columns import Columns, columns_of
from luthier.search.drawing import axes_of, clipped
from luthier.search.novelty import early, first_new, lent, untried
from luthier.search.observations import Observations, observe
from luthier.search.surrogate.threads import one_thread
from luthier.search.widening import whole_since
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Numbers = NDArray[np.intp]

_KEPT = 16  # generations that are all kept to go on from; of older ones ever fewer
_LATE = 4  # generations among whose draws a finished trial is looked for


@dataclass(frozen=True)
class CMAES:
    """Draws from the distribution that the finished generations have shaped.

    The first trials to end (the defaults and quasi-random ones) choose where it starts: at the best of
    them. After that every so many trials that end are a generation, in the order in which they ended, so
    that a slow trial changes nothing of what was learned without it; where a scheduler ends trials early, in
    the order of their numbers, so that promotions change no order. While a generation is incomplete,
    more are drawn from the same distribution. A trial that was not drawn from it (enqueued, say) pulls
    it no further than a draw could. What diverged or ran out of memory counts as the worst. Where the space
    was made wider it begins anew, at the best trial of before.

    Options of a choice are in a row, in the order in which they were given.

    Args:
        initial: trials before the evolution begins; by default one more than there are
            hyperparameters, from 4 to 12.
        population: trials of a generation, at least 4; by default 4 + ⌊3 ln d⌋ (Hansen 2016, table 1).
        step: the deviation that it begins with, a share of each range on its scale, above 0 and up to 1.

    Raises:
        StudyError: an argument that cannot be.
    """

    initial: int | None = None
    population: int | None = None
    step: float = 0.2

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, value, least in (
            ("initial", self.initial, 1),
            ("population", self.population, 4),
        ):
            given: Any = value
            if given is not None and (type(given) is not int or given < least):
                raise StudyError(
                    f"CMA-ES: {name} must be a whole number of at least {least}, or None, got {value!r}."
                )
        step: Any = self.step
        if type(step) not in (int, float) or not 0 < step <= 1:
            raise StudyError(f"CMA-ES: step must be a number above 0 and up to 1, got {step!r}.")

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        import numpy as np

        seen = observe(history, space)
        if (found := lent(seen, history, space, number)) is not None:
            return found
        numbers, losses, points = _ended(history, seen)
        first = self.initial or min(12, max(4, seen.dimension + 1))
        if len(numbers) < first or not len(seen.losses) or seen.dimension == 0:
            return early(seen, history, space, number, chance)
        first = max(first, 1 + int(np.isfinite(losses).argmax()))
        # What all lay at an edge that has moved, or had the same value of what is new, shapes nothing.
        before = np.flatnonzero(numbers < whole_since(history, space, number))
        first = max(first, 1 + int(before.max(initial=-1)))
        start, columns = points[losses[:first].argmin()], columns_of(space)
        evolution = _kept.get(history)
        if evolution is None or not evolution.is_of(self, columns, start, chance.seed):
            evolution = _kept[history] = _Evolution(self, columns, start, chance.seed)
        with one_thread():
            strategy = evolution.after(numbers[first:], losses[first:], points[first:])
            places, _ = evolution.axes.drawn(strategy, chance)
        places, again = columns.rounded(places), history.header.noisy
        found = first_new(places, seen, history, space, again=again)
        return found or untried(seen, history, space, number, chance)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None


def _ended(history: History, seen: Observations) -> tuple[Numbers, Array, Array]:
    """Return number, loss (infinite for bad ones) and place of the trials that count, as they ended.

    Where a scheduler ends trials early, they are in the order of their numbers: who is promoted would come
    last again with every report.
    """
    import numpy as np

    numbers = np.concatenate([seen.numbers, seen.infeasible_numbers])
    losses = np.concatenate([seen.losses, np.full(len(seen.infeasible), np.inf)])
    points = np.concatenate([seen.points, seen.infeasible])
    order = np.argsort(numbers)
    if not seen.cut_short:
        trials = [history.trials[number] for number in numbers.tolist()]
        times = np.array([t.last_sign if t.ended_at is None else t.ended_at for t in trials])
        order = np.lexsort((numbers, times))
    return numbers[order], losses[order], points[order]


def _before(generation: int) -> set[int]:
    """Return the generations whose states are needed to go on from *generation*."""
    return set(range(max(0, generation - _LATE + 1), generation + 1))


def _is_kept(generation: int, newest: int) -> bool:
    """Return whether the state of *generation* is kept: it is needed to go on from one that is.

    Those are spaced ever wider with their age, so that going back costs what the change is old.
    """
    later = range(generation, min(generation + _LATE, newest + 1))
    return any(g % (1 << ((newest - g) // _KEPT).bit_length()) == 0 for g in later)


def _ranks(losses: Array) -> Numbers:
    import numpy as np

    return np.searchsorted(np.unique(losses), losses)


_kept: weakref.WeakKeyDictionary[History, _Evolution] = weakref.WeakKeyDictionary()


class _Evolution:
    """The strategy after each generation; the newest ones are kept to go on from."""

    def __init__(self, settings: CMAES, columns: Columns, start: Array, seed: int) -> None:
        import numpy as np

        self.settings, self.columns, self.start, self.seed = settings, columns, start, seed
        self.axes = axes_of(columns)
        self.generations: list[tuple[Numbers, Numbers]] = []  # numbers and ranks of the trials
        self.states: dict[int, tuple[Any, int, int]] = {}  # strategy, restarts, trials used
        self.used: tuple[Numbers, Array] = np.zeros(0, np.intp), np.zeros(0)

    def is_of(self, settings: CMAES, columns: Columns, start: Array, seed: int) -> bool:
        """Return whether it began like this."""
        import numpy as np

        same = self.settings == settings and self.columns is columns and self.seed == seed
        return same and np.array_equal(self.start, start, equal_nan=True)

    def after(self, numbers: Numbers, losses: Array, points: Array) -> Any:
        """Return the strategy after all whole generations of these trials, in this order."""
        self._go_back(numbers, losses)
        if not self.states:
            self.states[0] = (self._begun(0), 0, 0)
        at = max(self.states)
        strategy, restarts, used = self.states[at]
        while used + strategy.population_size <= len(numbers):
            part = slice(used, used + strategy.population_size)
            ranks, told = _ranks(losses[part]), list(map(self._told, numbers[part], points[part]))
            strategy = copy.deepcopy(strategy)
            strategy.tell(list(zip(told, map(int, ranks), strict=True)))
            if strategy.should_stop() or self.axes.exhausted(strategy):
                restarts += 1
                strategy = self._begun(restarts)
            self.generations.append((numbers[part], ranks))
            at, used = at + 1, part.stop
            self.states[at] = (strategy, restarts, used)
            self.states = {g: state for g, state in self.states.items() if _is_kept(g, at)}
        self.used = numbers[:used], losses[:used]
        return strategy

    def _go_back(self, numbers: Numbers, losses: Array) -> None:
        """Drop the generations that the trials no longer give: a loss or an order has changed."""
        import numpy as np

        count = len(self.used[0])
        if all(map(np.array_equal, self.used, (numbers[:count], losses[:count]))):
            return
        used = same = 0
        for generation in self.generations:
            part = slice(used, used + len(generation[0]))
            if not all(map(np.array_equal, generation, (numbers[part], _ranks(losses[part])))):
                break
            used, same = part.stop, same + 1
        while same and not self.states.keys() >= _before(same):
            same -= 1
        self.states = {g: state for g, state in self.states.items() if g <= same}
        del self.generations[same:]

    def _told(self, number: int, place: Array) -> Array:
        """Return what to tell the newest strategy for a trial: its draw, where it comes from one."""
        chance = Chance(self.seed, ("trial", int(number), "configuration"))
        at = max(self.states)
        newest, restarts, _ = self.states[at]
        for back in range(min(at + 1, _LATE)):
            strategy, then, _ = self.states[at - back]
            draw = self.axes.draw_at(place, strategy, chance) if then == restarts else None
            if draw is not None:
                return clipped(draw, newest) if back else draw
        return clipped(self.axes.nearest(place, newest), newest)

    def _begun(self, restarts: int) -> Any:
        """Return a strategy that begins at the best of the first trials, later anywhere."""
        import numpy as np
        from cmaes import CMAwM

        axes, width = self.axes, self.columns.dimension
        mean = Chance(self.seed, ("cma restart", restarts)).generator().random(len(axes.steps))
        if not restarts:
            mean[:width] = np.where(np.isnan(self.start), mean[:width], self.start)
        usual = self.settings.population or 4 + int(3 * np.log(width))
        return CMAwM(
            np.clip(mean, axes.bounds[:, 0], axes.bounds[:, 1]),
            self.settings.step,
            axes.bounds,
            axes.steps,
            population_size=usual * 2**restarts,
            seed=0,
        )
