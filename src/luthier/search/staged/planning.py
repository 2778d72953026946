"""Which stage comes next, with how many trials, and when one is over: functions of the history.

The order is a plan, not a rule: before each stage the trials so far may put what matters more first, and
skip what makes no difference. A share of the study is kept for the end, when everything is live at once
round the best, because what was set one at a time is only best for what came before it.
"""

from __future__ import annotations

import math
from typing import Any

from luthier.search.random import RandomSearch
from luthier.search.recommend import recommended
from luthier.search.staged.candidates import Candidate, candidates, named
from luthier.search.staged.remaining import remaining
from luthier.search.staged.roles import is_rate
from luthier.search.staged.settings import JOINT, Importance, Settings
from luthier.search.staged.within import Ranges, active, narrowed, room_of, trainable
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.records import StageRecord

_KNOWN = 2 / 3  # of a stage's trials have ended when it may be concluded
_WIDER = 1.5  # times as wide a range is left in the end of what had no stage


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
    begun, space = stage.begun, history.space
    if begun.trials is None or stage.trials < begun.trials:
        if not any(name in space.domains for name in stage.hyperparameters):
            return True
        if begun.trials is None or remaining(history, room_of(space, begun, live=True)) != []:
            return False
    own = [t for t in history.trials if t.stage == begun.stage]
    ended = sum(t.number not in history.active for t in own)
    return ended >= math.ceil(_KNOWN * min(stage.trials, begun.trials))


def incumbent(history: History, space: Space, start: Ranges) -> dict[str, Any]:
    """Return the configuration that a stage goes out from: the best so far, at first the defaults.

    A default outside of its range in *start* gives way to the middle of it.
    """
    if history.best is not None:
        best = recommended(history) if history.header.noisy else history.best
        return dict(best.configuration)
    found = space.default()
    for name, (low, high) in start.items():
        domain: Any = space.domains[name]
        if name in found and not low <= found[name] <= high:
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
    rest, remarks = candidates(history, space, settings, around, importance)
    said = " ".join(stage.begun.reason for stage in history.stages)
    remarks = [remark for remark in remarks if remark not in said]
    while (trials := _trials(history, rest, settings, room)) is not None:
        first = rest[0]
        begun = _own(history, space, settings, around, first, trials, remarks)
        left = remaining(history, room_of(space, begun, live=True))
        if left is None or len(left) >= trials:
            return begun
        if left:
            return _own(history, space, settings, around, first, len(left), remarks)
        del rest[0]
        remark = f"{named(first.hyperparameters)} skipped: nothing new is left to try"
        remarks += [remark] if remark not in said else []
    return _joint(history, space, settings, around, rest, remarks, room)


def _own(
    history: History,
    space: Space,
    settings: Settings,
    around: dict[str, Any],
    first: Candidate,
    trials: int,
    remarks: list[str],
) -> ev.StageBegun:
    """Return the beginning of a stage for some of the hyperparameters."""
    dead = _dead(history)
    rates = [n for n in space.searched if is_rate(n, space, settings.roles) and n not in dead]
    live = [n for n in active(space, rates, around) if n not in first.hyperparameters]
    if history.best is None or not settings.live or not any(s.trials for s in history.stages):
        live = []  # nothing is known that it could lie near
    ranges = {} if _staged(history) else {k: v for k, v in settings.start.items() if k not in live}
    ranges |= trainable(history, space, narrowed(space, live, around, settings.width))
    reason = first.reason
    if history.best is None and any(stage.name == first.name for stage in history.stages):
        reason = f"again, since no trial has a finite {history.objective.metric} so far"
    reason = "; ".join([reason, *remarks])
    return _begun(history, first.name, first.hyperparameters, live, around, ranges, trials, reason)


def _dead(history: History) -> set[str]:
    """Return what the stages so far have found to make no difference."""
    return {name for s in history.stages if s.concluded for name in s.concluded.dead}


def _staged(history: History) -> bool:
    """Return True when some hyperparameters had a stage of their own."""
    return any(stage.trials for stage in history.stages if stage.name != JOINT)


def _trials(
    history: History, rest: list[Candidate], settings: Settings, room: int | None
) -> int | None:
    """Return how many trials the first of *rest* has; None when the rest is for all together."""
    if not rest:
        return None
    first = len(rest[0].hyperparameters)
    if room is None:
        return 2 * least(first)
    # What an earlier end had, before somebody gave the study more trials, is no part of this one.
    spent = sum(stage.trials for stage in history.stages if stage.name == JOINT)
    kept = math.ceil(settings.joint * (len(history.trials) - spent + room))
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
    dead = _dead(history)
    names = [name for name in space.searched if name not in dead] or space.searched
    staged, known = _staged(history), history.best is not None
    ranges = settings.start if not staged else {}
    if staged and known:
        ranges = narrowed(space, names, around, settings.zoom)
    if rest and staged:
        unheard = ", ".join(candidate.name for candidate in rest)
        reason = f"the {room} trials left do not hold a stage for {unheard}"
        unseen = [name for c in rest for name in c.hyperparameters if name in names]
        width = min(1.0, _WIDER * settings.zoom) if known else 1.0
        wide = narrowed(space, unseen, around, width)
        ranges = {k: v for k, v in ranges.items() if k not in unseen} | dict(wide)
    elif rest and room is not None and room >= 2 * least(len(rest[0].hyperparameters)):
        reason = f"joint={settings.joint:g} leaves no trials for stages"
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
