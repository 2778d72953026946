"""Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar 2018, JMLR 18(185), Algorithm 1).

With R the most epochs one configuration may train and η the share carried forward (the top 1/η)::

    s_max = ⌊log_η R⌋,  B = (s_max + 1) R
    for s = s_max … 0:  n = ⌈(B / R) · η^s / (s + 1)⌉,  r = R η^−s
        for i = 0 … s:  n_i = ⌊n η^−i⌋ configurations train to r_i = r η^i epochs,
                        the best ⌊n_i / η⌋ go on

For R = 81 and η = 3 this is the paper's Table 1 (brackets of 81, 34, 15, 8 and 5). Epochs are whole:
r_i is rounded to the nearest one, and is at least 1. A configuration that goes on continues from its
checkpoint, so a rung costs only the epochs that are new. Where the first rungs must not be shorter than
some r_min (*minimum*), s_max = ⌊log_η (R / r_min)⌋.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

from luthier.errors import StudyError
from luthier.schedule.brackets import judge, left_behind, next_move, within
from luthier.schedule.settings import whole
from luthier.study.history import History
from luthier.study.protocols import Bracket, Limits, Move, Plan, Rung, Verdict
from luthier.study.records import TrialRecord


@dataclass(frozen=True)
class Hyperband:
    """Hyperband over whole epochs.

    Attributes:
        epochs: R, the most epochs one configuration trains, at least 1.
        factor: η, at least 2: the best 1/η of a rung go on.
        iterations: how often the whole of Algorithm 1 is run; by default once, or as often as the
            study's trials and epochs have room for where they are limited.
        minimum: epochs of the first rungs at the least, from 1 to *epochs*; brackets that would begin
            with fewer are left out.
    """

    epochs: int
    factor: int = 3
    iterations: int | None = None
    minimum: int = 1
    in_any_order: ClassVar[bool] = True  # a rung is judged when all of it is there
    ends_by_its_plan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: a number that is not whole or below what it can be, or a first rung above the
                last one.
        """
        whole(self, factor=2, iterations=1)
        check_ladder(self)

    @property
    def promotes(self) -> bool:
        """Return True: the best of a rung go on from their checkpoints."""
        return True

    def plan(self, limits: Limits) -> Plan | None:
        """Return every bracket and rung within the limits; the last bracket may be cut smaller."""
        return Plan(_within(self, limits))

    def next(self, history: History, limits: Limits) -> Move:
        """Fill the current bracket, promote from decided rungs, else begin the next bracket."""
        return next_move(_within(self, limits), history, limits)

    def judge(self, history: History, trial: TrialRecord) -> Verdict:
        """Pause the trial at the end of its rung."""
        return judge(self.epochs, trial)

    def dropped(self, history: History, limits: Limits) -> list[tuple[int, str]]:
        """Return the paused trials that did not make it to the next rung."""
        return left_behind(_within(self, limits), history, limits)


class Ladder(Protocol):
    """What has rungs."""

    @property
    def epochs(self) -> int:
        """Return where the last rung ends."""
        ...

    @property
    def minimum(self) -> int:
        """Return where the first rung ends, at the earliest."""
        ...


def check_ladder(scheduler: Ladder) -> None:
    """Refuse a ladder that cannot be climbed.

    Raises:
        StudyError: epochs that are no whole number from 1 on, or a first rung that is not between 1 and
            epochs.
    """
    whole(scheduler, epochs=1, minimum=1)
    if scheduler.minimum > scheduler.epochs:
        raise StudyError(
            f"{type(scheduler).__name__}: minimum must lie between 1 and epochs={scheduler.epochs}, "
            f"got {scheduler.minimum}."
        )


def ladder(index: int, s: int, trials: int, epochs: int, factor: int) -> Bracket:
    """Return bracket s begun by *trials* configurations: s + 1 rungs that end at *epochs*.

    Rungs that nobody would reach are left out, and rungs that rounding made equal are one.
    """
    rungs: list[Rung] = []
    for i in range(s + 1):
        count, step = trials // factor**i, max(1, round(epochs / factor ** (s - i)))
        if count < 1:
            break
        if rungs and rungs[-1].step == step:
            continue
        rungs.append(Rung(count, step))
    return Bracket(index, f"s={s}", tuple(rungs))


def deepest(epochs: int, factor: float, minimum: int = 1) -> int:
    """Return s_max = ⌊log_factor(epochs / minimum)⌋ without rounding errors."""
    s = 0
    while minimum * factor ** (s + 1) <= epochs:
        s += 1
    return s


def iteration(epochs: int, factor: int, minimum: int = 1, first: int = 0) -> list[Bracket]:
    """Return the brackets of one run of Algorithm 1, their indices counted from *first*."""
    s_max = deepest(epochs, factor, minimum)
    brackets: list[Bracket] = []
    for s in range(s_max, -1, -1):
        n = -(-(s_max + 1) * factor**s // (s + 1))  # ⌈(s_max + 1) η^s / (s + 1)⌉ in whole numbers
        brackets.append(ladder(first + len(brackets), s, n, epochs, factor))
    return brackets


def times(wanted: int | None, one: Sequence[Bracket], limits: Limits) -> int:
    """Return how often *one* iteration is to be run: *wanted*, or as the limits have room for."""
    if wanted is not None:
        return wanted
    room = [
        -(-limit // sum(each))
        for limit, each in (
            (limits.trials, [b.rungs[0].trials for b in one]),
            (limits.epochs, [b.epochs for b in one]),
        )
        if limit is not None
    ]
    return max(1, min(room, default=1))


@lru_cache(maxsize=64)
def _within(settings: Hyperband, limits: Limits) -> tuple[Bracket, ...]:
    def shrink(bracket: Bracket, trials: int) -> Bracket:
        s = int(bracket.name.removeprefix("s="))
        return ladder(bracket.index, s, trials, settings.epochs, settings.factor)

    rules = settings.epochs, settings.factor, settings.minimum
    one = iteration(*rules)
    brackets = [
        bracket
        for i in range(times(settings.iterations, one, limits))
        for bracket in iteration(*rules, first=i * len(one))
    ]
    return within(brackets, limits, shrink)
