"""Coarse to fine: quasi-random rounds in a box that shrinks round the best trials, then a guided search.

What a tuner does by hand: look everywhere, look again where it was good, more closely. The box is
worked out from the trials anew for every proposal (see ``narrowing``), so any process finds the same,
and it says what it narrowed and why.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError, StudyError, nearest
from luthier.search.columns import columns_of
from luthier.search.narrowing import Box, Part, shrunk, space_in, whole, widened
from luthier.search.novelty import early, untried
from luthier.search.observations import observe, placed
from luthier.search.widening import wider_since
from luthier.space import Domain, Space
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.searched import searched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Inside: itself, what takes every value of what it is given, and what the study must be divided for.
_NEVER = ("coarse_to_fine", "grid", "stages")
_NAMED = 4  # hyperparameters that were left as they are of which a line still tells each


@dataclass(frozen=True)
class Narrowing:
    """What became of one hyperparameter's range or options, in words.

    Attributes:
        name: of the hyperparameter.
        before: the whole range, or all options.
        after: what is searched now.
        reason: the evidence, or why there is none.
    """

    name: str
    before: str
    after: str
    reason: str

    def __str__(self) -> str:
        if self.before == self.after:
            return f"{self.name} not narrowed ({self.reason})"
        if self.reason.startswith("dropped"):
            return f"{self.name}: {self.reason}"
        return f"{self.name} {self.before} -> {self.after} ({self.reason})"


@dataclass(frozen=True)
class CoarseToFine:
    """Quasi-random rounds, each in a box round the best trials so far; then a guided search inside.

    Trial 0 is the space's defaults. A range is narrowed only if its hyperparameter makes a difference
    that chance does not explain, and an option dropped only if it is worse by as much. Trials of
    earlier rounds that lie in the box count in it. Where the best trial lies at an edge of the box, the
    box moves out again. Where somebody widens the space, the rounds begin anew.

    Args:
        rounds: quasi-random ones.
        trials: of a round; by default four for each hyperparameter, from 8 to 64.
        share: of the trials, the best ones, that a range is drawn round.
        inside: the searcher that goes on in the last box, by its name; ``"sobol"`` is one more
            quasi-random round that does not end.

    Raises:
        StudyError: an argument that cannot be; the message says what was expected.
    """

    rounds: int = 2
    trials: int | None = None
    share: float = 0.25
    inside: str = "gaussian_process"

    def __post_init__(self) -> None:
        """Check the arguments."""
        from luthier.search import SEARCHERS  # which lists this searcher

        for name, value in (("rounds", self.rounds), ("trials", self.trials)):
            given: Any = value
            if (given is not None or name == "rounds") and (type(given) is not int or given < 1):
                or_none = ", or None" if name == "trials" else ""
                raise StudyError(
                    f"Coarse to fine: {name} must be a whole number above 0{or_none}, "
                    f"got {value!r}."
                )
        share: Any = self.share
        if type(share) not in (int, float) or not 0 < share < 1:
            raise StudyError(
                f"Coarse to fine: share must lie between 0 and 1 (0.25 keeps the best quarter of the "
                f"trials), got {share!r}."
            )
        known = [name for name in SEARCHERS if name not in _NEVER]
        if self.inside not in known:
            raise StudyError(
                f"Coarse to fine: inside must be one of {', '.join(map(repr, known))}, "
                f"got {self.inside!r}.{nearest(str(self.inside), known)}"
            )

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        box = self._box(history, space, number)
        done = number - wider_since(history, number, by_hand=True)
        coarse = self.inside == "sobol" or done < self.rounds * self._trials(space)
        if box == whole(columns_of(space)):
            return self._proposed(history, space, number, chance, coarse=coarse)
        try:
            found = self._proposed(history, space_in(space, box), number, chance, coarse=coarse)
        except SpaceError:  # the constraints leave next to nothing of the box
            return self._proposed(history, space, number, chance, coarse=coarse)
        found = space.check(found)  # the same step in the same digits: 0.3, not 0.1 * 3
        used_up = any(trial.configuration == found for trial in history.trials)
        if used_up and not history.header.noisy:
            return untried(observe(history, space), history, space, number, chance)
        return found

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None

    def explain(self, history: History, space: Space) -> str:
        """Return in one line what the next proposal comes from, what was narrowed, and why."""
        if not space.searched:
            return "nothing is searched: every hyperparameter is a constant"
        history = searched(history)
        number, count = len(history.trials), self._trials(space)
        begun = wider_since(history, number, by_hand=True)
        done = number - begun
        if done < count:
            since = f" since the space was widened, after trial {begun - 1}," if begun else ""
            return (
                f"coarse round 1 of {self.rounds}: the first {count} trials{since} look everywhere in "
                f"{len(space.searched)} hyperparameter{'s' * (len(space.searched) > 1)}"
            )
        if done < self.rounds * count:
            what = f"coarse round {1 + done // count} of {self.rounds}"
        else:
            searcher = "quasi-random" if self.inside == "sobol" else self.inside
            what = f"{searcher} after {self.rounds} coarse round{'s' * (self.rounds > 1)}"
        parts = self.narrowed(history, space)
        changed = [str(part) for part in parts if part.before != part.after]
        same = [str(part) for part in parts if part.before == part.after]
        where = "in a narrowed box" if changed else "in the whole space"
        if len(same) > _NAMED:
            same = [f"{len(same)} {'others ' if changed else ''}not narrowed"]
        return f"{what} {where}: {'; '.join(changed + same)}"

    def narrowed(self, history: History, space: Space) -> list[Narrowing]:
        """Return what is narrowed for the next proposal and what is not, and why, for a report."""
        history = searched(history)
        box = self._box(history, space, len(history.trials))
        columns = columns_of(space)
        looked = "the first round looks everywhere"
        return [
            Narrowing(name, _shown(domain, before), _shown(domain, part), part.reason or looked)
            for name, domain, before, part in zip(
                columns.names, columns.domains, whole(columns), box, strict=True
            )
        ]

    def _trials(self, space: Space) -> int:
        return self.trials or min(64, max(8, 4 * space.dimension))

    def _proposed(
        self, history: History, space: Space, number: int, chance: Chance, *, coarse: bool
    ) -> dict[str, Any]:
        from luthier.search import SEARCHERS

        if coarse:
            return early(observe(history, space), history, space, number, chance)
        return SEARCHERS[self.inside]().propose(history, space, number, chance)

    def _box(self, history: History, space: Space, number: int) -> Box:
        """Return where trial *number* is looked for.

        The box of a round is worked out from the trials of the rounds before it alone, so it stays as
        it is once these have ended. After the last round it only moves, with the best trial there is.
        Where somebody has widened the space, the rounds begin anew, and trials from before it do not count:
        they lie where there was room then, so that what is new would seem not worth a look.
        """
        columns, begun = columns_of(space), wider_since(history, number, by_hand=True)
        box, count = whole(columns), self._trials(space)
        for done in range(1, min(self.rounds, (number - begun) // count) + 1):
            points, losses = _between(history, space, begun, begun + done * count)
            if math.isfinite(losses.min(initial=math.inf)):
                box = widened(box, columns, points[losses.argmin()])
            box = shrunk(box, columns, points, losses, self.share, self.rounds)
        if number - begun >= self.rounds * count and history.best is not None:
            place = placed(space, history.best.configuration)
            if place is not None:
                import numpy as np

                box = widened(box, columns, np.array(place))
        return box


def _between(history: History, space: Space, begun: int, end: int) -> tuple[Array, Array]:
    """Return places (n, d) and losses (n,) of those of the trials from *begun* to *end* that are known by now.

    Losses are infinite for those that diverged or ran out of memory.
    """
    import numpy as np

    then = copy.copy(history)
    then.trials = type(history.trials)()  # found by number also where a race's are missing
    for trial in history.trials[:end]:
        then.trials.append(trial)
    then.touched = [trial.number for trial in then.trials]
    seen = observe(then, space)
    bad = np.full(len(seen.infeasible), math.inf)
    points = np.concatenate([seen.points, seen.infeasible])
    losses = np.concatenate([seen.losses, bad])
    first = min((trial.number for trial in history.trials[begun:end]), default=0)
    counts = np.concatenate([seen.numbers, seen.infeasible_numbers]) >= first
    return points[counts], losses[counts]


def _shown(domain: Domain, part: Part) -> str:
    """Return what *part* leaves of *domain* as one reads it."""
    if part.options:
        values = domain.values()
        return ", ".join(repr(values[option]) for option in part.options)
    low, high = domain.decode(part.low), domain.decode(part.high)
    digits = 5 if getattr(domain, "scale", "") == "one_minus_log" else 3
    return f"{low:.{digits}g}…{high:.{digits}g}"
