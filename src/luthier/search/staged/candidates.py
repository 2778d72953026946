"""The stages that are still to come, in their order: what may go first, and what needs none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from luthier.search.staged.roles import grouped, is_rate
from luthier.search.staged.settings import JOINT, Importance, Settings
from luthier.search.staged.within import active, opened
from luthier.space import Space
from luthier.study.history import History

_DEAD = 0.01  # share of what matters, below which a hyperparameter gets no stage of its own
_CLEARLY = 2.0  # times as important as what the order has first: it goes first
_SEEN = 8  # trials by which a hyperparameter may be skipped or put first


@dataclass(frozen=True)
class Candidate:
    """A stage that could be next: its name, hyperparameters, and the reason in words."""

    name: str
    hyperparameters: tuple[str, ...]
    reason: str


def candidates(
    history: History,
    space: Space,
    settings: Settings,
    around: dict[str, Any],
    importance: Importance,
) -> tuple[list[Candidate], list[str]]:
    """Return the stages that are still to come, and what is to be said of others."""
    done = _done(history, space, settings.roles)
    shares = _shares(history, space, importance) if settings.adapts else {}
    rest: list[Candidate] = []
    remarks: list[str] = []
    for name, members in grouped(space, settings.order, settings.roles):
        left = [m for m in members if m not in done]
        there = [m for m in left if m in opened(space, active(space, left, around), around)]
        alive = [m for m in there if shares.get(m, 1.0) >= _DEAD]
        if there and not alive:
            remarks.append(f"{named(there)} skipped: less than {_DEAD:.0%} of what matters so far")
        elif left and not there:
            remarks.append(f"{named(left)} skipped: not active in the best configuration")
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


def _done(history: History, space: Space, roles: Mapping[str, str]) -> set[str]:
    """Return the hyperparameters that had a stage of their own, and were learned something about.

    Where every trial has diverged, that is most often the learning rate's doing: its stage comes again,
    and the others when it has found a value to go out from.
    """
    done: set[str] = set()
    for stage in history.stages:
        names = stage.hyperparameters
        learned = stage.concluded is not None and stage.concluded.best >= 0
        rates = any(is_rate(n, space, roles) for n in names if n in space.domains)
        if stage.name != JOINT and (learned or (history.best is None and not rates)):
            done |= {*names}
    return done


def named(names: Iterable[str]) -> str:
    """Return *names* as one reads them, without their branches."""
    return ", ".join(map(Space.short, names))


def _shares(history: History, space: Space, importance: Importance) -> dict[str, float]:
    """Return the importance of what enough trials varied outside of stages of its own."""
    if len(history.trials) < _SEEN:
        return {}
    found = importance(history, space)
    seen = {
        name: len({repr(t.configuration[name]) for t in history.trials if name in t.configuration})
        for name in found
    }
    return {name: share for name, share in found.items() if seen[name] >= _SEEN}
