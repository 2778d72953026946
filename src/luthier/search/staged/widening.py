"""At the end of a stage: does its best value lie at an edge of the space, and does it get better there?

A stage has too few trials, and all of them in a place of its own, for the test of ``search/crowding.py``,
which counts the best trials near an edge. So the surrogate of all trials is asked: is the edge better than
a place well inside, by more than it may be wrong?
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from luthier.search.crowding import EDGE, Crowded, Side
from luthier.search.staged.effects import Evidence, evidence
from luthier.search.staged.roles import BETA, LAMBDA, RATE, role_in
from luthier.search.staged.within import centre
from luthier.search.widening import change
from luthier.space import Float, Int, Space
from luthier.space.wider import hard_limits, wider
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.records import StageRecord, TrialRecord, TrialState

_INSIDE = 0.25  # of the range: so far from the edge lies what it is compared with
_DEVIATIONS = 1.645  # below the expected gain; one-sided 95 %
# What costs no more time or memory at another value, and that code takes beyond the range as written.
_HARMLESS = (RATE, BETA, LAMBDA)


def widening(
    history: History, space: Space, stage: StageRecord, roles: Mapping[str, str]
) -> ev.SpaceChanged | None:
    """Return the wider space that the end of *stage* asks for, None where it asks for none.

    Where nobody has allowed it, only learning rates, momenta and regularisation widen, and each side of a
    range once: by a decade at most. *roles* says by full names what they are where that does not say it.
    """
    if history.widening is False or history.best is None:
        return None
    known = evidence(history, space)
    if known is None:
        return None
    names = [*stage.begun.hyperparameters, *stage.begun.live]
    found = [
        _edge(history, space, name, known, history.best, roles) for name in dict.fromkeys(names)
    ]
    return change(history, [one for one in found if one is not None])


def _edge(
    history: History,
    space: Space,
    name: str,
    known: Evidence,
    best: TrialRecord,
    roles: Mapping[str, str],
) -> Crowded | None:
    domain: Any = space.domains.get(name)
    value = best.configuration.get(name)
    if not isinstance(domain, Float | Int) or value is None or not domain.contains(value):
        return None
    place = domain.encode(value)
    side: Side = "low" if place < 0.5 else "high"
    outer = place if side == "low" else 1 - place
    if outer > EDGE and value not in (domain.low, domain.high):
        return None
    if not history.widening and not _by_default(history, space, name, side, roles):
        return None
    to = wider(domain, side, hard_limits(name, domain))
    column = known.columns.names.index(name)
    if to is None or column not in known.varied() or _diverged_beyond(history, name, place, side):
        return None
    gain, deviation = _gain(known, column, centre(space, best.configuration), side)
    if gain <= _DEVIATIONS * deviation:
        return None
    edge = domain.low if side == "low" else domain.high
    p = 0.5 * math.erfc(gain / deviation / math.sqrt(2)) if deviation else 0.0
    words = (
        f"{name}: the best value, {value:.3g}, lies at the {'lower' if side == 'low' else 'upper'} end of "
        f"its range, {edge:g}, and {history.objective.metric} still gets better towards it; widen it to "
        f"{to:g}"
    )
    return Crowded(name, side, edge, 1, 1, EDGE, p, to, words)


def _by_default(
    history: History, space: Space, name: str, side: Side, roles: Mapping[str, str]
) -> bool:
    """Return True for what may widen without anybody's leave, and has not yet on this side."""
    domain, first = space.domains[name], Space.from_dict(history.header.space).domains.get(name)
    if not isinstance(domain, Float) or not isinstance(first, Float):
        return False
    if role_in(name, space, roles) not in _HARMLESS:
        return False
    return domain.low == first.low if side == "low" else domain.high == first.high


def _diverged_beyond(history: History, name: str, place: float, side: Side) -> bool:
    """Return True when a trial diverged further out than the best one."""
    domain: Any = history.space.domains[name]
    for trial in history.trials:
        value = trial.configuration.get(name)
        if trial.state is TrialState.DIVERGED and value is not None and domain.contains(value):
            there = domain.encode(value)
            if (there < place) if side == "low" else (there > place):
                return True
    return False


def _gain(known: Evidence, column: int, base: Any, side: Side) -> tuple[float, float]:
    """Return what is expected to be gained from well inside to the edge, and its deviation."""
    inner, outer = base.copy(), base.copy()
    count = known.columns.domains[column].cardinality
    half = 0.0 if count is None else 0.5 / count
    outer[column] = half if side == "low" else 1 - half
    inner[column] = max(_INSIDE, 3 * half) if side == "low" else min(1 - _INSIDE, 1 - 3 * half)
    gain, deviation, _ = known.difference(inner, outer)
    return gain, deviation
