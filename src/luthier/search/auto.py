"""The default searcher: picks what suits the space and the trials so far, and says so in a line.

Where a scheduler ends bad trials early, most of what is known comes from short trainings, and no model of
them is right everywhere: three proposals of four are then by two models, and the fourth is random, which
costs little, since a bad one ends early (Falkner et al. 2018, section 4.1; Li et al. 2021, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from luthier.search.bohb import BOHB
from luthier.search.cma_es import CMAES
from luthier.search.columns import columns_of
from luthier.search.gaussian_process import DOUBTS, GaussianProcess, begins_by_steps, doubts
from luthier.search.models import times_differ
from luthier.search.novelty import first_new, untried
from luthier.search.observations import Observations, observe
from luthier.search.random import RandomSearch
from luthier.search.tpe import TPE
from luthier.search.trainable import tells
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.protocols import Searcher
from luthier.study.searched import searched

_LOCAL = 200  # trials from which on the surrogate is one of the incumbent's surroundings
_EVOLVED = 4  # one proposal in so many stays the surrogate's where CMA-ES has the others
_STEP = 0.1  # of a range: what CMA-ES begins with round the best of so many trials
_WIDE = 100  # hyperparameters beyond which a Gaussian process learns no lengthscales in useful time
_MIX = 4  # one proposal in so many is TPE's once the surrogate is a local one
_EARLY = 2  # first rounds that go by before a surrogate learns from short trainings


@dataclass(frozen=True)
class Auto:
    """One hyperparameter at a time, then a Gaussian process, later CMA-ES, or one round the incumbent.

    A Gaussian process needs the fewest trials, for a few hundred of them and up to some dozens of
    hyperparameters of any kind. Later, where all of them are numbers that are always active, and one exact
    objective is all that counts (no bounds, no time), three proposals of four are CMA-ES's, which begins at
    the best trial; elsewhere the process is one of the incumbent's surroundings, and every fourth proposal
    is TPE's, which looks everywhere. Spaces too wide for a process are TPE's from the beginning.

    Under a scheduler that ends trials early, of four proposals in a row the first is random, the third comes
    from kernel densities at the largest budget with enough trials (BOHB's), and the others from a blend
    of Gaussian processes, one for each budget; until there are trials enough for those, from the densities.
    """

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: constraints that leave (next to) nothing of the space.
        """
        searcher, _ = self._chosen(history, space, number)
        found = searcher.propose(history, space, number, chance)
        if isinstance(searcher, RandomSearch) and space.searched:
            # Chance may draw what was tried: in a small space, or from an earlier study of the same seed.
            seen = observe(history, space)
            place, again = space.encode(found)[None, :], history.header.noisy
            if first_new(place, seen, history, space, again=again) is None:
                return untried(seen, history, space, number, chance)
        return found

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None

    def explain(self, history: History, space: Space) -> str:
        """Return in one line what the next proposal comes from, and why."""
        history = searched(history)  # a race's repetitions are no turns of the search
        return self._chosen(history, space, len(history.trials))[1]

    def _chosen(self, history: History, space: Space, number: int) -> tuple[Searcher, str]:
        seen = observe(history, space)
        wide, trials = seen.dimension, len(seen.losses)
        if not wide and history.header.define_by_run and not space.domains:
            return RandomSearch(), "what is searched, the training code says in its first trial"
        if not wide:
            return RandomSearch(), "nothing is searched: every hyperparameter is a constant"
        if wide > _WIDE:
            return TPE(), f"TPE: {wide} hyperparameters are too many for a Gaussian process"
        gaussian = GaussianProcess()
        first = gaussian.first(history, space)
        lost = not trials and len(seen.infeasible) > 0
        if number < first and not lost and begins_by_steps(history, space):
            return gaussian, (
                f"one at a time: up to trial {first - 1} each changes one of {wide} hyperparameters, "
                "from the best so far"
            )
        if number < first:
            return gaussian, (
                f"quasi-random: the first {first} trials look everywhere in {wide} "
                f"hyperparameter{'s' * (wide > 1)}"
            )
        if trials < 2:
            where = "nearer to what trained than to what did not" if tells(seen) else "quasi-random"
            return (
                gaussian,
                f"{where}: a Gaussian process needs two trials with a value, not {trials}",
            )
        if seen.cut_short:
            searcher, why = _short(gaussian, number, first)
        else:
            searcher, why = _whole(gaussian, seen, history, space, number)
        if searcher is gaussian and doubts(space, number):
            why = f"quasi-random: one proposal in {DOUBTS} asks no belief, for it may be wrong"
        return searcher, why


def _whole(
    gaussian: GaussianProcess, seen: Observations, history: History, space: Space, number: int
) -> tuple[Searcher, str]:
    """Return who proposes where every trial trains to its end, and why."""
    trials = len(seen.losses)
    if trials <= _LOCAL:
        return gaussian, f"Gaussian process: it needs the fewest trials ({trials} known so far)"
    ranked = seen.outcomes.shape[1] == 1 and not seen.excesses.shape[1]
    timed = gaussian.hurry(history) > 0 and times_differ(seen)
    if ranked and not timed and not history.header.noisy and _is_plain(space):
        if number % _EVOLVED == 0:
            return gaussian, f"Gaussian process: one proposal in {_EVOLVED}, the others by CMA-ES"
        return CMAES(initial=_LOCAL, step=_STEP), (
            f"CMA-ES: {seen.dimension} numbers and {trials} known trials; one proposal in {_EVOLVED} "
            "by a Gaussian process"
        )
    if number % _MIX == 0:
        return TPE(), f"TPE: of {trials} known trials it sees all; one proposal in {_MIX}"
    return gaussian, (
        f"Gaussian process round the best of {trials} trials; one proposal in {_MIX} by TPE"
    )


def _is_plain(space: Space) -> bool:
    """Return whether all that is searched are numbers that are always active, at least two of them."""
    columns = columns_of(space)
    return not columns.conditional and not any(columns.options) and columns.dimension > 1


def _short(gaussian: Searcher, number: int, first: int) -> tuple[Searcher, str]:
    """Return who proposes where trials end early, and why."""
    turn = number % 4
    if turn == 0:
        return RandomSearch(), "random: one in four, where bad trials end early it costs little"
    if turn == 2 or number < _EARLY * first:
        return BOHB(at_random=0.0), "kernel densities: one in four, of the longest trainings"
    return gaussian, "Gaussian processes: two in four, a process for each budget, blended"
