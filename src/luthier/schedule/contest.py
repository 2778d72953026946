"""A race on given numbers: who is dropped in which round, who leads, and who has to run next.

Every candidate is run once in each round. From the third round on, whoever is significantly worse than
the leader is dropped, so that runs go to those among which the choice is still open (Maron & Moore 1994,
"Hoeffding races"; Birattari et al. 2002, "A racing algorithm for configuring metaheuristics", which
drops by a test as here). Runs have seeds of their own, so the samples are not paired and their variances
not equal: the test is Welch's, two-sided because who leads is not known beforehand, with Holm's
correction for the candidates compared and Bonferroni's for the rounds looked at (as Maron & Moore split
their error). So the best candidate is ever dropped with a probability of at most the significance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from luthier.schedule.comparing import holm, welch

FEWEST = 3  # runs of each candidate before anybody is dropped

Runs = Sequence[float | None]
"""Losses in the order of the runs: inf when it diverged or broke a bound, nan when it failed, None while it
goes on."""


@dataclass(frozen=True)
class Drop:
    """Why a candidate is out.

    Attributes:
        after: the round.
        chance: adjusted p of the test against the leader; nan where none was needed.
        why: in words.
    """

    after: int
    chance: float
    why: str


@dataclass(frozen=True)
class Contest:
    """How a race stands.

    Attributes:
        order: the candidates, the best first: those still in by mean loss, then the dropped ones, the
            last to leave first.
        drops: those that are out.
        chances: adjusted p of each candidate still in, against the leader; 1 for the leader itself.
        wanted: who has to run next; None when nobody can be begun now.
        over: whether the race is decided, or has had all its rounds.
        rounds: rounds that were looked at.
    """

    order: list[int]
    drops: dict[int, Drop] = field(default_factory=dict[int, Drop])
    chances: dict[int, float] = field(default_factory=dict[int, float])
    wanted: int | None = None
    over: bool = False
    rounds: int = 0


def contest(
    runs: Mapping[int, Runs],
    repetitions: int,
    significance: float,
    breaches: Mapping[int, Sequence[str]] | None = None,
) -> Contest:
    """Return how the race stands.

    Args:
        runs: of each candidate, in the order in which equals rank.
        repetitions: rounds at most, at least ``FEWEST``.
        significance: greatest probability that the best candidate is dropped.
        breaches: of each candidate the bounds that each of its runs broke, in words, "" for none.
    """
    drops: dict[int, Drop] = {}
    looks = repetitions - FEWEST + 1
    wanted, done, over = None, 0, False
    for turn in range(1, repetitions + 1):
        alive = [n for n in runs if n not in drops]
        over = len(alive) < 2
        if over:
            break
        missing = [n for n in alive if len(runs[n]) < turn]
        if missing:
            wanted = missing[0]
            break
        if turn < FEWEST:
            continue  # nobody is judged yet, so nobody has to be waited for
        if any(None in runs[n][:turn] for n in alive):
            break
        upto = {n: runs[n][:turn] for n in alive}
        drops |= _dropped(upto, turn, looks, significance, breaches or {})
        done = turn
    else:
        over = True
    alive = {n: runs[n] for n in runs if n not in drops}
    last = [n for n in runs if n in drops]
    order = _ranked(alive) + sorted(
        last, key=lambda n: (-drops[n].after, _spoilt(runs[n]), _mean(runs[n]))
    )
    return Contest(order, drops, _chances(alive, looks), wanted, over, done)


def finite(runs: Runs) -> list[float]:
    """Return the losses of the runs that ended with one."""
    return [loss for loss in runs if loss is not None and math.isfinite(loss)]


def _dropped(
    runs: Mapping[int, Runs],
    turn: int,
    looks: int,
    significance: float,
    breaches: Mapping[int, Sequence[str]],
) -> dict[int, Drop]:
    """Return who leaves after round *turn*."""
    leader = _ranked(runs)[0]
    if len(finite(runs[leader])) < 2:
        return {}
    drops: dict[int, Drop] = {}
    often = _spoilt(runs[leader])
    for number, own in runs.items():
        if _spoilt(own) > often:
            how = _how(own, breaches.get(number, ()))
            words = f"it {how} on {_spoilt(own)} of {turn} seeds, the leader on {often}"
            drops[number] = Drop(turn, math.nan, words)
        elif len(finite(own)) < 2:
            failed = sum(loss is not None and math.isnan(loss) for loss in own)
            drops[number] = Drop(turn, math.nan, f"{failed} of its {turn} repetitions failed")
    rest = {n: own for n, own in runs.items() if n not in drops}
    for number, chance in _chances(rest, looks).items():
        if number != leader and chance < significance:
            words = f"worse than trial {leader} on {turn} seeds, {p(chance)}"
            drops[number] = Drop(turn, chance, words)
    return drops


def _chances(runs: Mapping[int, Runs], looks: int) -> dict[int, float]:
    """Return the adjusted p of each against the leader; nan where there are too few values."""
    if not runs:
        return {}
    leader, *others = _ranked(runs)
    best = finite(runs[leader])
    able = [n for n in others if min(len(best), len(finite(runs[n]))) >= 2]
    adjusted = holm([welch(best, finite(runs[n])) for n in able])
    found = dict.fromkeys(others, math.nan) | {leader: 1.0}
    return found | {n: min(1.0, looks * x) for n, x in zip(able, adjusted, strict=True)}


def _ranked(runs: Mapping[int, Runs]) -> list[int]:
    """Return the candidates, the best first; whoever diverged or broke a bound more often comes later."""
    few = {n: len(finite(own)) < 2 for n, own in runs.items()}
    return sorted(runs, key=lambda n: (few[n], _spoilt(runs[n]), _mean(runs[n])))


def _spoilt(runs: Runs) -> int:
    return sum(loss == math.inf for loss in runs)


def _how(runs: Runs, breaches: Sequence[str]) -> str:
    """Return what spoilt some of *runs*: 'diverged', 'broke latency <= 20', or both."""
    broken = list(dict.fromkeys(filter(None, breaches[: len(runs)])))
    diverged = _spoilt(runs) > sum(map(bool, breaches[: len(runs)]))
    words = ["diverged"] * diverged + [f"broke {' and '.join(broken)}"] * bool(broken)
    return " or ".join(words)


def _mean(runs: Runs) -> float:
    return fmean(found) if (found := finite(runs)) else math.inf


def p(chance: float) -> str:
    """Return a probability as papers write it: 'p = 0.03', 'p < 0.001'."""
    return "p < 0.001" if chance < 0.001 else f"p = {chance:.2g}"
