"""How population-based training changes a configuration: the step that its paper calls explore.

Jaderberg et al. 2017, "Population based training of neural networks", section 4.1.1 and appendix A:
each hyperparameter is multiplied by 0.8 or 1.2, or drawn anew.
"""

from __future__ import annotations

from typing import Any

from luthier.space import Constant, Float, Int, Space
from luthier.study.chance import Chance

SMALLER, LARGER = 0.8, 1.2


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
    child = dict(parent)
    for name, domain in space.domains.items():
        may = name in names if names is not None else isinstance(domain, Float)
        if name not in child or not may or isinstance(domain, Constant):
            continue
        own = chance.of(name)
        if own.uniform("anew") < anew or not isinstance(domain, Float | Int):
            child[name] = domain.quantile(own.uniform("value"))
        else:
            factor = LARGER if own.uniform("factor") < 0.5 else SMALLER
            child[name] = scaled(domain, child[name], factor)
    return child if space.satisfies(child) else dict(parent)


def scaled(domain: Float | Int, value: float, factor: float) -> float | int:
    """Return *value* times *factor* inside the domain; for β on its scale it is 1 − β that is scaled."""
    if isinstance(domain, Int):
        step = 1 if factor > 1 else -1
        whole = int(value) + step * max(1, abs(round(value * (factor - 1))))
        return domain.decode(domain.encode(min(max(whole, domain.low), domain.high)))
    moved = 1.0 - (1.0 - value) * factor if domain.scale == "one_minus_log" else value * factor
    return domain.decode(domain.encode(min(max(moved, domain.low), domain.high)))
