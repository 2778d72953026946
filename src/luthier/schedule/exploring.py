"""How population-based training changes a configuration: the step that its paper calls explore.

Jaderberg et al. 2017, "Population based training of neural networks", section 4.1.1 and appendix A:
each hyperparameter is multiplied by 0.8 or 1.2, or drawn anew.
"""

from __future__ import annotations

from typing import Any

from luthier.space import Constant, Domain, Float, Int, Space
from luthier.study.chance import Chance

SMALLER, LARGER = 0.8, 1.2
_DRAWS = 10  # children looked at until one keeps the space's constraints


def explored(
    parent: dict[str, Any], space: Space, names: tuple[str, ...] | None, anew: float, chance: Chance
) -> dict[str, Any]:
    """Return *parent* with the hyperparameters *names* changed, all others inherited.

    Args:
        parent: a configuration of *space*.
        space: the search space.
        names: what may change while training goes on; None for every ``Float``.
        anew: probability, for each, to be drawn anew instead.
        chance: this child's randomness.
    """
    for draw in range(_DRAWS):
        child = _child(parent, space, names, anew, chance.of("again", draw) if draw else chance)
        if space.satisfies(child):
            return child
    return dict(parent)


def _child(
    parent: dict[str, Any], space: Space, names: tuple[str, ...] | None, anew: float, chance: Chance
) -> dict[str, Any]:
    """Return *parent* changed: what another option of a choice opens is drawn, what it closes is left out."""
    child: dict[str, Any] = {}
    for name, domain in space.domains.items():
        if not space.is_active(name, child):
            continue
        own = chance.of(name)
        if name in parent:
            may = name in names if names is not None else isinstance(domain, Float)
            child[name] = _changed(domain, parent[name], anew, own) if may else parent[name]
        elif not space.is_active(name, parent):  # else the space has it since the parent began
            child[name] = domain.quantile(own.uniform("value"))
    return child | {name: value for name, value in parent.items() if name not in space}


def _changed(domain: Domain, value: Any, anew: float, chance: Chance) -> Any:
    """Return another value for a hyperparameter: a fifth more or less, or one drawn anew."""
    if isinstance(domain, Constant):
        return value
    if chance.uniform("anew") < anew or not isinstance(domain, Float | Int):
        return domain.quantile(chance.uniform("value"))
    return scaled(domain, value, LARGER if chance.uniform("factor") < 0.5 else SMALLER)


def scaled(domain: Float | Int, value: float, factor: float) -> float | int:
    """Return *value* times *factor* inside the domain; for β on its scale it is 1 − β that is scaled."""
    if isinstance(domain, Int):
        step = 1 if factor > 1 else -1
        whole = int(value) + step * max(1, abs(round(value * (factor - 1))))
        return domain.decode(domain.encode(min(max(whole, domain.low), domain.high)))
    moved = 1.0 - (1.0 - value) * factor if domain.scale == "one_minus_log" else value * factor
    return domain.decode(domain.encode(min(max(moved, domain.low), domain.high)))
