"""How long a plan takes on so many workers, by going through its jobs in their order."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from luthier.schedule.contest import FEWEST
from luthier.schedule.race import BRACKET
from luthier.study.protocols import Bracket, Plan

_MANY = (
    2_000  # jobs at a plan's end that are gone through; before them no worker ever waits for long
)


def work(plan: Plan, epoch: float, start: float) -> float:
    """Return the seconds of all jobs together.

    Args:
        plan: what is trained.
        epoch: seconds of an epoch.
        start: seconds that a job takes before its first epoch (loading, compiling).
    """
    return plan.epochs * epoch + sum(map(_jobs, plan.brackets)) * start


def makespan(
    plan: Plan, workers: int, epoch: float, start: float = 0.0, finalists: int = 0
) -> float:
    """Return the seconds from a plan's beginning to its end.

    A rung's jobs begin when all of the rung before have ended; a worker that would wait takes one of
    the next bracket (as ``schedule.brackets`` does). Rungs of an asynchronous plan wait for nobody;
    the longest trial may begin last (Graham 1966's bound). A race begins after all that, see ``_race``.

    Args:
        plan: what is trained.
        workers: jobs at the same time.
        epoch: seconds of an epoch.
        start: seconds that a job takes before its first epoch (loading, compiling).
        finalists: how many configurations the plan's race is of; 0: nobody knows, all its trainings may
            go on at the same time.
    """
    if len(plan.brackets) > 1 and plan.brackets[-1].index == BRACKET:
        *search, last = plan.brackets
        searched = replace(plan, brackets=tuple(search))
        raced = min(finalists, searched.trials)
        before = makespan(searched, workers, epoch, start)
        return before + _race(last, raced, workers, epoch, start)
    if plan.at_most:
        longest = max(b.rungs[-1].step * epoch + len(b.rungs) * start for b in plan.brackets)
        return work(plan, epoch, start) / workers + longest * (1 - 1 / workers)
    if len(plan.brackets) == 1:
        return _alone(plan.brackets[0], workers, epoch, start)
    jobs, first = 0, len(plan.brackets)
    while first > 0 and (jobs == 0 or jobs + _jobs(plan.brackets[first - 1]) <= _MANY):
        first -= 1
        jobs += _jobs(plan.brackets[first])
    before = work(Plan(plan.brackets[:first]), epoch, start) / workers
    return before + _greedy(plan.brackets[first:], workers, epoch, start)


def _race(bracket: Bracket, finalists: int, workers: int, epoch: float, start: float) -> float:
    """Return the seconds of a race: its first three rounds go together, then each waits for the one before.

    Only then is it known who is dropped, see ``schedule.contest``.
    """
    (rung,) = bracket.rungs
    first = min(rung.trials, FEWEST * finalists or rung.trials)
    turns, left = -(-first // workers), rung.trials - first
    while left > 0:
        turns += -(-min(finalists, left) // workers)
        left -= finalists
    return turns * (start + epoch * rung.step)


def _jobs(bracket: Bracket) -> int:
    return sum(rung.trials for rung in bracket.rungs)


def _alone(bracket: Bracket, workers: int, epoch: float, start: float) -> float:
    """Return the seconds of one bracket: each rung goes through the workers in whole rounds."""
    steps = [0, *(rung.step for rung in bracket.rungs)]
    rounds = [-(-rung.trials // workers) for rung in bracket.rungs]
    return sum(
        n * (start + epoch * (b - a)) for n, (a, b) in zip(rounds, pairwise(steps), strict=True)
    )


def _greedy(brackets: Sequence[Bracket], workers: int, epoch: float, start: float) -> float:
    lengths = [
        [start + epoch * (b - a) for a, b in pairwise([0, *(rung.step for rung in bracket.rungs)])]
        for bracket in brackets
    ]
    rung = [0] * len(brackets)
    begun, ended = [0] * len(brackets), [0] * len(brackets)
    running: list[tuple[float, int]] = []
    now, first = 0.0, 0
    while True:
        while first < len(brackets) and rung[first] == len(brackets[first].rungs):
            first += 1
        for b in range(first, len(brackets)):
            while (
                len(running) < workers
                and rung[b] < len(brackets[b].rungs)
                and begun[b] < brackets[b].rungs[rung[b]].trials
            ):
                heapq.heappush(running, (now + lengths[b][rung[b]], b))
                begun[b] += 1
            if len(running) == workers:
                break
        if not running:
            return now
        now, b = heapq.heappop(running)
        ended[b] += 1
        if ended[b] == brackets[b].rungs[rung[b]].trials:
            rung[b], begun[b], ended[b] = rung[b] + 1, 0, 0
