"""Which stage comes next, with how many trials, and when one is over: functions of the history.

The order is a plan, not a rule: before each stage the trials so far may put what matters more first, and
skip what makes no difference. A share of the study is kept for the end, when everything is live at once
round the best, because what was set one at a time is only best for what came before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from luthier.search.random import RandomSearch
from luthier.search.recommend import recommended
from luthier.search.staged.roles import Order, grouped, is_rate
from luthier.search.staged.within import Ranges, active, narrowed, opened, trainable
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.records import StageRecord

JOINT = "all together"
_KNOWN = 2 / 3  # of a stage's trials have ended when it may be concluded
_DEAD = 0.01  # share of what matters, below which a hyperparameter gets no stage of its own
_CLEARLY = 2.0  # times as important as what the order has first: it goes first
_WIDER = 1.5  # times as wide a range is left in the end of what had no stage
_SEEN = 8  # trials by which a hyperparameter may be skipped or put first

Importance = Callable[[History, Space], dict[str, float]]


@dataclass(frozen=True)
class Settings:
    """How a study is divided; see ``Stages`` for each."""

    order: Order
    roles: Mapping[str, str]
    start: Ranges
    joint: float
    live: bool
    adapts: bool
    zoom: float
    width: float


@dataclass(frozen=True)
class Candidate:
    """A stage that could be next: its name, hyperparameters, and the reason in words."""

    name: str
    hyperparameters: tuple[str, ...]
    reason: str


def least(count: int) -> int:
    """Return the fewest trials that tell anything about so many hyperparameters at once."""
    return min(16, 2 + 2 * count)


def coarse(count: int) -> int:
    """Return how many of a stage's trials are quasi-random."""
    return min(8, 1 + count)


def is_over(history: History, stage: StageRecord, room: int | None) -> bool:
    """Return True when the stage's trials were begun and most of them are known, or nothing is left."""
    if room == 0:
        return True
    if stage.begun.trials is None or stage.trials < stage.begun.trials:
        return not any(name in history.space.domains for name in stage.hyperparameters)
    own = [t for t in history.trials[stage.first :] if t.stage == stage.begun.stage]
    ended = sum(t.number not in history.active for t in own)
    return ended >= math.ceil(_KNOWN * stage.begun.trials)


def incumbent(history: History, space: Space, start: Ranges) -> dict[str, Any]:
    """Return the configuration that a stage goes out from: the best so far, at first the defaults.

    A default outside of its range in *start* gives way to the middle of it.
    """
    if history.best is not None:
        best = recommended(history) if history.header.noisy else history.best
        return dict(best.configuration)
    found = space.default()
    for name, (low, high) in start.items():
        domain: Any = space.domains.get(name)
        if domain is not None and name in found and not low <= found[name] <= high:
            found[name] = domain.decode((domain.encode(low) + domain.encode(high)) / 2)
    if space.satisfies(found):
        return found
    chance = Chance(history.header.seed, ("stages", "start"))
    return RandomSearch().propose(history, space, 0, chance)


def next_stage(
    history: History, space: Space, settings: Settings, room: int | None, importance: Importance
) -> ev.StageBegun:
    """Return the beginning of the next stage."""
    around = incumbent(history, space, settings.start)
    rates = [n for n in space.searched if is_rate(n, space.searched)] if settings.live else []
    rest, remarks = _rest(history, space, settings, around, importance)
    said = " ".join(stage.begun.reason for stage in history.stages)
    remarks = [remark for remark in remarks if remark not in said]
    trials = _trials(history, rest, settings, room)
    if trials is None:
        return _joint(history, space, settings, around, rest, remarks, room)
    first = rest[0]
    live = [n for n in active(space, rates, around) if n not in first.hyperparameters]
    begins = not any(t.stage >= 0 for t in history.trials)
    ranges = dict(settings.start) if begins else {}
    if not begins:
        ranges |= trainable(history, space, narrowed(space, live, around, settings.width))
    if begins:
        live = []
    reason = "; ".join([first.reason, *remarks])
    return _begun(history, first.name, first.hyperparameters, live, around, ranges, trials, reason)


def _rest(
    history: History,
    space: Space,
    settings: Settings,
    around: dict[str, Any],
    importance: Importance,
) -> tuple[list[Candidate], list[str]]:
    """Return the stages that are still to come, and what is to be said of others."""
    done = {name for stage in history.stages for name in stage.hyperparameters}
    shares = _shares(history, space, importance) if settings.adapts else {}
    rest: list[Candidate] = []
    remarks: list[str] = []
    for name, members in grouped(space, settings.order, settings.roles):
        left = [m for m in members if m not in done]
        there = [m for m in left if m in opened(space, active(space, left, around), around)]
        alive = [m for m in there if shares.get(m, 1.0) >= _DEAD]
        if there and not alive:
            remarks.append(f"{_named(there)} skipped: less than {_DEAD:.0%} of what matters so far")
        elif left and not there:
            remarks.append(f"{_named(left)} skipped: not active in the best configuration")
        if alive:
            rest.append(Candidate(name, tuple(alive), "next in order"))
    if not history.stages or len(rest) < 2:
        return rest, remarks
    weights = [max((shares.get(m, 0.0) for m in c.hyperparameters), default=0.0) for c in rest]
    top = max(range(len(rest)), key=lambda i: (weights[i], -i))
    if top and weights[top] > _CLEARLY * max(weights[0], 0.05):
        chosen = rest.pop(top)
        reason = f"before {rest[0].name}: {weights[top]:.0%} of what matters so far"
        rest.insert(0, Candidate(chosen.name, chosen.hyperparameters, reason))
    return rest, remarks


def _named(names: list[str]) -> str:
    return ", ".join(map(Space.short, names))


def _shares(history: History, space: Space, importance: Importance) -> dict[str, float]:
    """Return the importance of what enough trials varied outside of stages of its own."""
    if len(history.trials) < _SEEN and not history.earlier:
        return {}
    found = importance(history, space)
    seen = {
        name: len({repr(t.configuration[name]) for t in history.trials if name in t.configuration})
        for name in found
    }
    return {name: share for name, share in found.items() if seen[name] >= _SEEN}


def _trials(
    history: History, rest: list[Candidate], settings: Settings, room: int | None
) -> int | None:
    """Return how many trials the first of *rest* has; None when the rest is for all together."""
    if not rest:
        return None
    first = len(rest[0].hyperparameters)
    if room is None:
        return 2 * least(first)
    kept = math.ceil(settings.joint * (len(history.trials) + room))
    left, total = room - kept, 0
    if left < least(first):
        return None
    for candidate in rest:  # those that the budget holds
        need = least(len(candidate.hyperparameters))
        if total + need > left:
            break
        total += need
    return min(2 * least(first), left * least(first) // total)


def _joint(
    history: History,
    space: Space,
    settings: Settings,
    around: dict[str, Any],
    rest: list[Candidate],
    remarks: list[str],
    room: int | None,
) -> ev.StageBegun:
    """Return the beginning of the last stage: all that makes a difference, round the best."""
    dead = {n for s in history.stages if s.concluded for n in s.concluded.dead}
    names = [name for name in space.searched if name not in dead] or space.searched
    ranges = narrowed(space, names, around, settings.zoom) if history.stages else settings.start
    if rest and history.stages:
        unheard = ", ".join(candidate.name for candidate in rest)
        reason = f"the {room} trials left do not hold a stage for {unheard}"
        unseen = [name for c in rest for name in c.hyperparameters if name in names]
        wide = narrowed(space, unseen, around, min(1.0, _WIDER * settings.zoom))
        ranges = {k: v for k, v in ranges.items() if k not in unseen} | dict(wide)
    elif rest:
        reason = f"{room} trials are too few for stages"
    else:
        reason = "every stage is done: what was set one by one is looked at again"
    ranges = trainable(history, space, ranges)
    reason = "; ".join([reason, *remarks])
    return _begun(history, JOINT, tuple(names), [], around, dict(ranges), None, reason)


def _begun(
    history: History,
    name: str,
    hyperparameters: tuple[str, ...],
    live: list[str],
    around: dict[str, Any],
    ranges: Ranges,
    trials: int | None,
    reason: str,
) -> ev.StageBegun:
    return ev.StageBegun(
        time=0.0,
        stage=len(history.stages),
        name=name,
        hyperparameters=list(hyperparameters),
        live=live,
        around=around,
        narrowed={name: (float(low), float(high)) for name, (low, high) in ranges.items()},
        trials=trials,
        reason=reason,
    )
