"""What a stage ends in: what was tried, what was learned, what is fixed or narrowed, in plain words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from luthier.search.columns import columns_of
from luthier.search.observations import Observations, observe
from luthier.search.order import broken
from luthier.search.staged.effects import Evidence, best_along, effect, evidence
from luthier.search.staged.planning import incumbent
from luthier.search.staged.roles import is_rate
from luthier.search.staged.settings import JOINT, Importance, Settings
from luthier.search.staged.within import centre, room_of
from luthier.space import Space
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.records import StageRecord, TrialRecord, TrialState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_NEGLIGIBLE = 0.01  # of what lies between the median trial and the best, at most: no difference
_SHIFT = 0.1  # of the learning rate's range: the best value has moved


def conclusion(
    history: History, space: Space, stage: StageRecord, settings: Settings, importance: Importance
) -> ev.StageConcluded:
    """Return the end of *stage*."""
    begun = stage.begun
    trials = [t for t in history.trials if t.stage == begun.stage]
    best = -1 if history.best is None else history.best.number
    known = evidence(history, space) if trials else None
    effects = _effects(history, space, begun, known, importance)
    seen = observe(history, space)
    dead = [] if begun.name == JOINT else _dead(effects, seen)
    measured = _measured(history, seen)
    words = [_tried(history, stage, trials)]
    words += [_learned(history, space, name, found, measured) for name, found in effects.items()]
    if known is not None and begun.name != JOINT:
        words += _shifts(space, begun, known, settings)
    words.append(_what_follows(history, space, begun, settings, dead))
    return ev.StageConcluded(
        time=0.0, stage=begun.stage, best=best, effects=effects, dead=dead, words=" ".join(words)
    )


def _effects(
    history: History,
    space: Space,
    begun: ev.StageBegun,
    known: Evidence | None,
    importance: Importance,
) -> dict[str, ev.Effect]:
    if known is None or history.best is None:
        return {}
    shares = importance(history, space)
    base = centre(space, history.best.configuration)
    room = room_of(space, begun, live=True)
    varied, found = known.varied(), dict[str, ev.Effect]()
    for column, name in enumerate(known.columns.names):
        if name not in begun.hyperparameters or column not in varied or name not in shares:
            continue
        if not space.is_active(name, history.best.configuration):
            continue
        low, high = float(room.low[column]), float(room.high[column])
        found[name] = effect(known, shares[name], column, base, low, high)
    return found


def _dead(effects: dict[str, ev.Effect], seen: Observations) -> list[str]:
    """Return those whose greatest likely effect is next to nothing beside what trials differ by.

    By the losses that effects are measured in, which may be places in an order (see ``order.py``).
    """
    losses = sorted(map(float, seen.losses))
    if not losses:
        return []
    bar = _NEGLIGIBLE * (losses[len(losses) // 2] - losses[0])
    return [name for name, found in effects.items() if found.high < bar]


def _measured(history: History, seen: Observations) -> bool:
    """Return True where losses are the objective's own numbers, and not an order of the trials."""
    if len(history.goals.objectives) > 1:
        return False
    return not seen.excesses.shape[1] or bool((broken(seen.excesses) <= 0).any())


# -- words -------------------------------------------------------------------------------------------


def _tried(history: History, stage: StageRecord, trials: list[TrialRecord]) -> str:
    if not trials:
        return "No trial was begun."
    finite = [
        t for t in trials if math.isfinite(t.best_loss) and t.state is not TrialState.DIVERGED
    ]
    said = f"{len(trials)} trial{'s' * (len(trials) > 1)}"
    diverged = sum(t.state is TrialState.DIVERGED for t in trials)
    said += f", {diverged} of them diverged" if diverged else ""
    if not finite or history.best is None:
        return f"{said}: none has a finite {history.objective.metric}."
    earlier = [t for t in history.trials if t.number < stage.first]
    before = [t.best_loss for t in earlier if math.isfinite(t.best_loss)]
    found = min(t.best_loss for t in finite)
    metric = history.objective.metric
    if not before:
        return f"{said}: the best {metric} is {_number(history.value(found))}."
    old, new = (_number(history.value(v)) for v in (min(before), found))
    if found < min(before):
        return f"{said}: {metric} {old} -> {new}."
    return f"{said}: none is better than {metric} {old} (the best of them {new})."


def _learned(history: History, space: Space, name: str, found: ev.Effect, measured: bool) -> str:
    assert history.best is not None
    short = Space.short(name)
    value = _readable(_best_value(space, name, history.best))
    best = f"best at {value}{_at_an_edge(space, name, history)}"
    if not measured:  # numbers of an order would be taken for some of the objective
        return f"{short}: {found.share:.0%} of what matters, {best}."
    if found.low <= 0:
        certain = f"at most {_number(found.high)}, perhaps nothing"
    else:
        certain = f"90 %: {_number(found.low)} to {_number(found.high)}"
    return (
        f"{short}: worst to best {_number(found.gain)} ({certain}; {found.share:.0%} of what "
        f"matters), {best}."
    )


def _best_value(space: Space, name: str, best: TrialRecord) -> Any:
    """Return the value of the best trial: the default where the space was given *name* only later."""
    domain: Any = space.domains[name]
    return best.configuration.get(name, domain.default)


def _at_an_edge(space: Space, name: str, history: History) -> str:
    assert history.best is not None
    domain: Any = space.domains[name]
    value = _best_value(space, name, history.best)
    count = domain.cardinality
    if (count is not None and count < 10) or not domain.contains(value):
        return ""
    place = domain.encode(value)
    if 0.05 <= place <= 0.95:
        return ""
    return f", at the {'lower' if place < 0.5 else 'upper'} end of its range"


def _shifts(space: Space, begun: ev.StageBegun, known: Evidence, settings: Settings) -> list[str]:
    """Say where the best learning rate moves with what the stage varied."""
    columns, room = columns_of(space), room_of(space, begun, live=True)
    base = centre(space, begun.around)
    said: list[str] = []
    for rate in begun.live:
        # It may have become a constant since, or be gone.
        if rate not in columns.names or not is_rate(rate, space, settings.roles):
            continue
        at = columns.names.index(rate)
        domain: Any = space.domains[rate]
        for name in begun.hyperparameters:
            column = columns.names.index(name) if name in columns.names else -1
            if column < 0 or columns.options[column] or column not in known.varied():
                continue
            ends = known.points[~_nan(known.points[:, column]), column]
            places: list[float] = []
            for end in (float(ends.min()), float(ends.max())):
                there = base.copy()
                there[column] = end
                places.append(
                    best_along(known, at, there, float(room.low[at]), float(room.high[at]))
                )
            if abs(places[0] - places[1]) >= _SHIFT:
                low, high = (_readable(domain.decode(p)) for p in places)
                said.append(
                    f"The best {Space.short(rate)} goes from {low} to {high} as "
                    f"{Space.short(name)} rises."
                )
    return said


def _nan(values: Array) -> Any:
    import numpy as np

    return np.isnan(values)


def _what_follows(
    history: History, space: Space, begun: ev.StageBegun, settings: Settings, dead: list[str]
) -> str:
    if begun.name == JOINT:
        return "The search ends here."
    if history.best is None:
        return "Nothing is fixed yet."
    around = incumbent(history, space, settings.start)
    own = [name for name in begun.hyperparameters if name in around]
    live = [name for name in [*own, *begun.live] if name in around and name in space.searched]
    live = [name for name in live if settings.live and is_rate(name, space, settings.roles)]
    live = [name for name in live if name not in dead]
    fixed = [f"{Space.short(n)}={_readable(around[n])}" for n in own if n not in live]
    rates = [f"{Space.short(n)} stays live round {_readable(around[n])}" for n in live]
    said = [f"Fixed until the end: {', '.join(fixed)}"] if fixed else []
    said += rates
    if dead:
        said.append(f"{', '.join(map(Space.short, dead))} makes no difference and stays fixed")
    return f"{'; '.join(said) or 'Nothing is fixed'}."  # a hyperparameter is called as it is called


def _number(value: float) -> str:
    return f"{value:.4g}"


def _readable(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
