"""Bayesian optimisation with a Gaussian process: few trials, each well chosen.

The surrogates are described in ``models.py`` and ``surrogate/gaussian.py``, the acquisition in
``surrogate/acquisition.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.search.columns import columns_of
from luthier.search.models import Models
from luthier.search.novelty import early, first_apart, lent, untried, without_beliefs
from luthier.search.observations import observe
from luthier.search.one_at_a_time import stepped
from luthier.search.room import Room, round_place
from luthier.search.surrogate.acquisition import Acquisition
from luthier.search.surrogate.maximise import Maximiser
from luthier.search.surrogate.threads import one_thread
from luthier.search.trainable import beside_trained
from luthier.search.transfer import sources_of
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_GOOD = 5  # trials that are looked around
_NEAR = 0.4  # of each range: where every other proposal is looked for, round the best trial
_BELIEF = 10.0  # πBO's β: the belief's weight is this over the number of trials
DOUBTS = 16  # where there are beliefs, one proposal of so many asks none of them
_ENDLESS = {
    "none",
    "auto",
    "median",
    "patience",
    "significance",
    "asha",
    "pasha",
}  # schedulers without an end
_INFORMED = 6  # first trials where earlier studies say the rest


@dataclass(frozen=True)
class GaussianProcess:
    """Proposes where the expected improvement over the best trial is highest.

    Trial 0 is the space's defaults. Where every trial trains to its end, the next few change one hyperparameter
    each from the best so far; where a scheduler ends bad trials early they are quasi-random, since looking
    everywhere costs little then, and so they are after earlier studies. Of those that follow, every other
    one is the most promising place of all, which while little is known is often in a far corner; the others
    are looked for near the best trial, as in a trust region (Eriksson et al. 2019), unless trials end
    early: then a bad place costs little. Pending trials count as if they had brought what the surrogate
    expects. Trials that diverged or ran out of memory teach a second surrogate where training is possible,
    and do not touch the first; constraints on outcomes have one each. With several objectives it is the
    expected improvement of the front's hypervolume, everywhere. In a noisy study the best is what is
    expected to be, and a trial may be repeated.

    Args:
        initial: trials before the surrogate takes over; by default one more than there are
            hyperparameters, from 4 to 12, and 6 at most after earlier studies.
        per_second: whether improvement counts by the second that a trial is expected to take; by default
            where nothing but time ends the study.

    Raises:
        StudyError: an argument that cannot be.
    """

    initial: int | None = None
    per_second: bool | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        first: Any = self.initial
        if first is not None and (type(first) is not int or first < 1):
            raise StudyError(
                f"Gaussian process: initial must be a whole number above 0, or None, got {first!r}."
            )
        by_time: Any = self.per_second
        if by_time is not None and type(by_time) is not bool:
            raise StudyError(
                f"Gaussian process: per_second must be True, False or None, got {by_time!r}."
            )

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
        first = self.first(history, space)
        if number < first or len(seen.losses) < 2 or seen.dimension == 0:
            # Round defaults with which nothing trains there is nothing to learn.
            lost = len(seen.infeasible) > 0 and not len(seen.losses)
            step = begins_by_steps(history, space) and 0 < number < min(first, seen.dimension + 1)
            step = step and not lost
            found = stepped(seen, history, space, number, chance) if step else None
            if number >= first:
                found = beside_trained(seen, history, space, chance)
            return found or early(seen, history, space, number, chance)
        if doubts(space, number):
            return early(seen, history, without_beliefs(space), number, chance)
        near = number % 2 == 1 and seen.outcomes.shape[1] == 1 and not seen.cut_short
        noisy = history.header.noisy
        with one_thread():
            models = Models(seen, columns_of(space), sources_of(history, space))
            ranked = ranked_places(models, self.hurry(history), noisy, chance, near=near)
        found = first_apart(ranked, seen, history, space, again=noisy)
        return found or untried(seen, history, space, number, chance)

    def first(self, history: History, space: Space) -> int:
        """Return how many trials come before the surrogate takes over."""
        if self.initial is not None:
            return self.initial
        usual = min(12, max(4, len(space.searched) + 1))
        return min(usual, _INFORMED) if sources_of(history, space) else usual

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None

    def hurry(self, history: History) -> float:
        """Return how much a trial's time counts, from 0 to 1."""
        limits, scheduler = history.limits, history.header.scheduler["name"]
        endless = limits.trials is None and limits.epochs is None and scheduler in _ENDLESS
        by_time = history.budgeted and endless
        return float(by_time if self.per_second is None else self.per_second)


def doubts(space: Space, number: int) -> bool:
    """Return whether trial *number* asks no belief, and lies anywhere.

    A surrogate of the believed place's surroundings is sure of what lies far from it, too.
    """
    return columns_of(space).believes and number % DOUBTS == DOUBTS - 1


def begins_by_steps(history: History, space: Space) -> bool:
    """Return whether the first trials change one hyperparameter at a time.

    A few quasi-random ones know a space of one or two well.
    """
    whole = history.header.scheduler["name"] == "none"
    return whole and len(space.searched) > 2 and not sources_of(history, space)


def ranked_places(
    models: Models,
    hurry: float,
    noisy: bool,
    chance: Chance,
    room: Room | None = None,
    *,
    near: bool = False,
) -> Array:
    """Return places (m, d), the most promising first.

    Args:
        models: what is known.
        hurry: how much a trial's time counts, from 0 to 1.
        noisy: whether a trial may be repeated.
        chance: of the trial.
        room: where alone is looked; None: everywhere.
        near: whether only round the best trial, with a fifth of each range to either side.
    """
    import numpy as np

    columns = models.columns
    terms, good = models.terms(hurry)
    looked_at = room or (round_place(columns, good[0], _NEAR) if near else columns)
    acquisition = Acquisition(terms)
    weight = _BELIEF / len(models.seen.losses) if columns.believes else 0.0
    even = max(0.0, 1.0 - weight) if columns.believes and looked_at is columns else 0.0
    where = np.array(columns.options) == 0
    which = np.searchsorted(columns.groups, np.arange(columns.dimension))[where]

    def score(points: Array) -> Array:
        found = acquisition(columns.features(points))
        return found + weight * columns.log_belief(points) if weight else found

    def slopes(points: Array) -> tuple[Array, Array]:
        found, by_feature = acquisition.gradients(columns.features(points))
        slope = np.zeros_like(points)
        slope[:, where] = by_feature[:, which]
        if weight:
            found = found + weight * columns.log_belief(points)
            slope += weight * columns.belief_slope(points)
        return found, slope

    maximiser = Maximiser(looked_at, score, slopes, even)
    found = maximiser.ranked(good[:_GOOD], chance.generator())
    if not noisy:
        return found
    again = looked_at.rounded(good[: 2 * _GOOD])  # to be repeated it must be a candidate
    found = np.concatenate([found, again])
    return found[np.argsort(-score(found), kind="stable")]
