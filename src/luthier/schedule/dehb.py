"""DEHB: Hyperband whose later rungs are bred by differential evolution.

Awad, Mallik & Hutter 2021, "DEHB: Evolutionary Hyperband for scalable, robust and efficient
hyperparameter optimization", section 3. Each budget has a subpopulation, as large as the most trials that
a bracket has there. In the first iteration of Hyperband the best of a rung are promoted (here they go on
from their checkpoints); the first rungs of its later brackets, and all rungs of later iterations, are
filled with children, trained anew: rand/1 mutation among the best of the next lower budget, binomial
crossover with a target of the budget's own subpopulation, and the better of child and target stays.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.errors import StudyError
from luthier.schedule.brackets import judge, left_behind, next_move, within
from luthier.schedule.hyperband import check_ladder, deepest, iteration, times
from luthier.schedule.places import Places
from luthier.schedule.rungs import Place, Rungs, standing_on_arrival
from luthier.schedule.settings import real, whole
from luthier.study.chance import Chance
from luthier.study.exhausting import was_tried
from luthier.study.feasibility import would_run_out
from luthier.study.following import followed
from luthier.study.goals import Goals
from luthier.study.history import History
from luthier.study.protocols import (
    Bracket,
    Fate,
    Limits,
    Move,
    Plan,
    Rung,
    Start,
    Verdict,
)
from luthier.study.records import TrialRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_CHILDREN = 32  # bred until one is new and allowed
_PARENTS = 3  # that rand/1 needs


@dataclass(frozen=True)
class DEHB:
    """Differential evolution inside Hyperband's brackets.

    Attributes:
        epochs: R, the most epochs one trial trains, at least 1.
        factor: η, at least 2.
        iterations: runs of Hyperband; by default one, or as many as the study's limits have room for.
        mutation: F, the share of a difference that is added, above 0 and at most 2.
        crossover: CR, the probability that a hyperparameter comes from the mutant, from 0 to 1.
        minimum: epochs of the first rungs at the least, as in ``Hyperband``.
    """

    searcher: ClassVar[str] = "random"  # for the first bracket
    ends_by_its_plan: ClassVar[bool] = True
    epochs: int
    factor: int = 3
    iterations: int | None = None
    mutation: float = 0.5
    crossover: float = 0.5
    minimum: int = 1

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole, or a setting outside its range.
        """
        whole(self, factor=2, iterations=1)
        check_ladder(self)
        real(self, "mutation", "crossover")
        if not 0 < self.mutation <= 2:
            raise StudyError(
                f"DEHB: mutation must lie above 0 and at most at 2, got {self.mutation!r}."
            )
        if not 0 <= self.crossover <= 1:
            raise StudyError(f"DEHB: crossover must lie between 0 and 1, got {self.crossover!r}.")

    @property
    def promotes(self) -> bool:
        """Return True: in the first iteration, the best of a rung go on from their checkpoints."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return every bracket within the limits; of later iterations each rung is one."""
        return Plan(_within(self, limits))

    def next(self, history: History, limits: Limits) -> Move:
        """Fill the current bracket or promote, as Hyperband does; new trials are bred."""
        move = next_move(_within(self, limits), history, limits)
        if not isinstance(move, Start) or move.bracket == 0:
            return move
        return Start(move.to_step, move.bracket, self._child(history, move))

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause the trial at the end of its rung; those of later iterations end there."""
        verdict = judge(self.epochs, trial)
        if verdict.fate is Fate.PAUSE and self.is_later(trial.bracket):
            return Verdict(Fate.STOP, f"its rung ends at epoch {trial.step}")
        return verdict

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials that did not make it to the next rung."""
        return left_behind(_within(self, limits), history, limits)

    def is_later(self, index: int) -> bool:
        """Return whether bracket *index* is a single rung of an iteration after the first."""
        return index > deepest(self.epochs, self.factor, self.minimum)

    def _child(self, history: History, move: Start) -> dict[str, Any] | None:
        """Return a new configuration for *move*; None when none was bred that is new and allowed."""
        import numpy as np

        if not history.space.searched:
            return None
        settings = DEHB(self.epochs, self.factor, minimum=self.minimum)
        populations = followed(
            history, ("dehb", settings), lambda: _Populations(settings, history.goals)
        )
        places = followed(history, "places", Places)
        number = len(history.trials)
        chance = Chance(history.header.seed, ("trial", number, "configuration"))
        level = populations.steps.index(move.to_step or self.epochs)
        members = history.brackets.get(move.bracket, ())
        slot, lower, best = populations.parents(move.bracket, level, len(members))
        own = populations.at(level, history, places)
        below = own if lower == level else populations.at(lower, history, places)
        target, pool = own[0][slot], _sorted(*below)[:best]
        generator = chance.generator()
        if len(pool) < _PARENTS:
            levels = range(len(populations.steps))
            every = np.concatenate([populations.at(i, history, places)[0] for i in levels])
            missing = _PARENTS + 1 - len(pool)
            if len(every) < missing:
                return None  # with an epoch or two there is one population, of one
            more = generator.choice(len(every), missing, replace=False)
            pool = np.concatenate([pool, every[more]])
        again: list[dict[str, Any]] = []
        for _ in range(_CHILDREN):
            one, two, three = pool[generator.choice(len(pool), 3, replace=False)]
            mutant = one + self.mutation * (two - three)
            outside = (mutant < 0) | (mutant > 1)
            mutant = np.where(outside, generator.random(len(mutant)), mutant)
            crossed = generator.random(len(mutant)) < self.crossover
            crossed[generator.integers(len(mutant))] = True
            child = history.space.decode(np.where(crossed, mutant, target))
            if history.space.satisfies(child) and not would_run_out(child, history.infeasible):
                if not was_tried(child, history):
                    return child
                again.append(child)
        # In a small space the parents may breed nothing new: then what others than this rung have tried.
        here = {repr(trial.configuration) for trial in members}
        return next((child for child in again if repr(child) not in here), None)


@dataclass(eq=False)
class _Populations:
    """The subpopulations: for each budget, who has its places, and the best of those that had.

    Trial j of a bracket's rung competes for the place that follows those of the brackets before it, and
    so on round and round; a promoted trial counts by its rank in the rung below.
    """

    settings: DEHB
    goals: Goals
    members: dict[int, int] = field(default_factory=dict[int, int])  # trials seen, by bracket
    place: dict[int, int] = field(default_factory=dict[int, int])  # of a trial in its bracket
    ladders: dict[int, Rungs] = field(default_factory=dict[int, Rungs])  # with promotions

    def __post_init__(self) -> None:
        one = _first(self.settings)
        self.steps = sorted({rung.step for bracket in one for rung in bracket.rungs})
        self.sizes = [
            max(r.trials for bracket in one for r in bracket.rungs if r.step == step)
            for step in self.steps
        ]
        for bracket in one:
            steps = [rung.step for rung in bracket.rungs]
            self.ladders[bracket.index] = Rungs(bracket.index, steps, self.goals)
        # For each level and place those who had it, and lost it, the best one first.
        self.begun: list[dict[int, list[Place]]] = [{} for _ in self.steps]
        self.entered: dict[int, Place] = {}
        self.held: dict[int, dict[int, Place]] = {}  # by level, until one of its places may change

    def take(self, trial: TrialRecord) -> None:
        """Replace what is known of *trial*."""
        number = trial.number
        if number not in self.place:
            self.place[number] = self.members.get(trial.bracket, 0)
            self.members[trial.bracket] = self.place[number] + 1
        if (ladder := self.ladders.get(trial.bracket)) is not None:
            ladder.take(trial)
            self.held.clear()
        step = _bracket(self.settings, trial.bracket).rungs[0].step
        level = self.steps.index(step)
        slot = self._slot(trial.bracket, level, self.place[number])
        losers = self.begun[level].setdefault(slot, [])
        if (old := self.entered.pop(number, None)) is not None:
            losers.remove(old)
            self.held.pop(level, None)
        if trial.step >= step:
            self.held.pop(level, None)
            self.entered[number] = (standing_on_arrival(trial, step, self.goals), -number)
            insort(losers, self.entered[number])

    def _slot(self, bracket: int, level: int, place: int) -> int:
        first = _offset(self.settings, bracket, self.steps[level])
        return (first + place) % self.sizes[level]

    def holders(self, level: int) -> dict[int, Place]:
        """Return who holds each place of a level that is taken; of equals, the newer one."""
        if level not in self.held:
            self.held[level] = self._holders(level)
        return self.held[level]

    def _holders(self, level: int) -> dict[int, Place]:
        best = {slot: losers[0] for slot, losers in self.begun[level].items() if losers}
        for index, ladder in self.ladders.items():
            if self.steps[level] not in ladder.steps[1:]:
                continue
            at = ladder.steps.index(self.steps[level])
            below = ladder.arrived[at - 1]
            first = _offset(self.settings, index, self.steps[level])
            for loss, number in ladder.arrived[at]:
                rank = bisect_left(below, ladder.known[number][0][at - 1])
                slot = (first + rank) % self.sizes[level]
                best[slot] = min(best.get(slot, (math.inf, 0)), (loss, -number))
        return {slot: place for slot, place in best.items() if math.isfinite(place[0])}

    def parents(self, index: int, level: int, place: int) -> tuple[int, int, int]:
        """Return where child *place* of a bracket's rung belongs, its parents' level and how many."""
        step = self.steps[level]
        rung = next(r for r in _bracket(self.settings, index).rungs if r.step == step)
        first = not self.settings.is_later(index) or _rung_before(self.settings, index) is None
        return self._slot(index, level, place), level if first else level - 1, rung.trials

    def at(self, level: int, history: History, places: Places) -> tuple[Array, Array]:
        """Return a budget's subpopulation (n, d) and its losses (n,), infinite for the untried.

        The untried ones are random: they are what the subpopulation began with.
        """
        import numpy as np

        chance = Chance(history.header.seed, ("dehb", level))
        points = chance.generator().random((self.sizes[level], len(history.space.searched)))
        losses = np.full(self.sizes[level], math.inf)
        if holders := self.holders(level):
            slots = list(holders)
            trials = [history.trials[-number] for _, number in holders.values()]
            points[slots] = places.at(trials, history.space)
            losses[slots] = [loss for loss, _ in holders.values()]
        return points, losses


def _sorted(points: Array, losses: Array) -> Array:
    return points[losses.argsort(kind="stable")]


def _bracket(settings: DEHB, index: int) -> Bracket:
    """Return bracket *index*: those of the first iteration are Hyperband's, then each rung is one."""
    one, rungs = _first(settings), _singles(settings)
    if not settings.is_later(index):
        return one[index]
    name, rung = rungs[(index - len(one)) % len(rungs)]
    return Bracket(index, name, (rung,))


def _rung_before(settings: DEHB, index: int) -> Rung | None:
    """Return the rung below that of a later iteration's bracket, None when it is the lowest."""
    rungs = _singles(settings)
    at = (index - len(_first(settings))) % len(rungs)
    same = at > 0 and rungs[at - 1][0].split(",")[0] == rungs[at][0].split(",")[0]
    return rungs[at - 1][1] if same else None


@lru_cache(maxsize=1024)
def _offset(settings: DEHB, index: int, step: int) -> int:
    """Return how many trials the brackets before *index* have at *step*.

    Every iteration has the same rungs, and there may be thousands.
    """
    one, rungs = _first(settings), [rung for _, rung in _singles(settings)]
    if settings.is_later(index):
        iterations, at = divmod(index - len(one), len(rungs))
        iterations, before = iterations + 1, rungs[:at]
    else:
        iterations, before = 0, [rung for bracket in one[:index] for rung in bracket.rungs]

    def there(those: list[Rung]) -> int:
        return sum(rung.trials for rung in those if rung.step == step)

    return iterations * there(rungs) + there(before)


@lru_cache(maxsize=64)
def _first(settings: DEHB) -> tuple[Bracket, ...]:
    return tuple(iteration(settings.epochs, settings.factor, settings.minimum))


@lru_cache(maxsize=64)
def _singles(settings: DEHB) -> tuple[tuple[str, Rung], ...]:
    """Return the rungs of one iteration, each with its name."""
    return tuple(
        (f"{bracket.name}, rung {i}", rung)
        for bracket in _first(settings)
        for i, rung in enumerate(bracket.rungs)
    )


@lru_cache(maxsize=64)
def _within(settings: DEHB, limits: Limits) -> tuple[Bracket, ...]:
    def shrink(bracket: Bracket, trials: int) -> Bracket:
        if len(bracket.rungs) == 1:
            return Bracket(bracket.index, bracket.name, (Rung(trials, bracket.rungs[0].step),))
        rungs = itertools.takewhile(
            lambda rung: rung.trials,
            (Rung(trials // settings.factor**i, r.step) for i, r in enumerate(bracket.rungs)),
        )
        return Bracket(bracket.index, bracket.name, tuple(rungs))

    one = _first(settings)
    singles = [Bracket(0, name, (rung,)) for name, rung in _singles(settings)]
    count = len(one) + len(singles) * (_times(settings, one, singles, limits) - 1)
    return within([_bracket(settings, i) for i in range(count)], limits, shrink)


def _times(settings: DEHB, one: tuple[Bracket, ...], singles: list[Bracket], limits: Limits) -> int:
    """Return how many iterations there are room for; those after the first cost more epochs."""
    if settings.iterations is not None or limits == Limits():
        return settings.iterations or 1
    trials = limits.trials and max(0, limits.trials - sum(b.rungs[0].trials for b in one))
    epochs = limits.epochs and max(0, limits.epochs - sum(b.epochs for b in one))
    return 1 + (times(None, singles, Limits(trials, epochs)) if trials != 0 and epochs != 0 else 0)
