"""Whether one space holds all of another: a change that only narrows leaves nothing new to look at."""

from __future__ import annotations

import random

from luthier.space.domains import Condition, Domain
from luthier.space.options import Constant
from luthier.space.plain import same
from luthier.space.ranges import Float, Int
from luthier.space.space import Space

_DRAWN = 200  # configurations by which constraints are compared


def holds_all(outer: Space, inner: Space) -> bool:
    """Return whether nothing of *inner* is new to who knows *outer*.

    A hyperparameter that *inner* lacks is none that it adds, and a constant one is not looked for. Other
    scales, defaults and beliefs make no new values. Where constraints are others, a few hundred draws say
    whether *inner* has what those of *outer* refuse: what is rarer is not worth looking for.
    """
    for name, domain in inner.domains.items():
        known = outer.domains.get(name)
        if known is None:
            if isinstance(domain, Constant):
                continue
            return False
        if not _has_values(known, domain) or not _implies(domain.condition, known.condition):
            return False
    return _keeps_constraints(outer, inner)


def _has_values(known: Domain, domain: Domain) -> bool:
    """Return whether *known* has all values of *domain*."""
    if isinstance(known, Float | Int) and isinstance(domain, Float | Int):
        if domain.cardinality is None:
            wide = known.low <= domain.low and domain.high <= known.high
            return known.cardinality is None and wide
        second = min(domain.low + (domain.step or 1), domain.high)
        return all(map(known.contains, (domain.low, second, domain.high)))  # the rest follows
    count, most = domain.cardinality, known.cardinality
    if count is None or (most is not None and count > most):
        return False
    return all(map(known.contains, domain.values()))


def _implies(condition: Condition, known: Condition) -> bool:
    """Return whether what is active under *condition* is active under *known*, too."""
    return all(
        any(
            parent == name and all(any(same(value, one) for one in wider) for value in values)
            for name, values in condition
        )
        for parent, wider in known
    )


def _keeps_constraints(outer: Space, inner: Space) -> bool:
    """Return whether configurations of *inner* keep the constraints of *outer* that it does not have."""
    texts = {constraint.text for constraint in inner.constraints}
    others = [constraint for constraint in outer.constraints if constraint.text not in texts]
    draw = random.Random(0)  # the same draws in every process
    for _ in range(_DRAWN if others else 0):
        configuration = inner.sample(lambda _: draw.random())
        if inner.satisfies(configuration) and not all(rule(configuration) for rule in others):
            return False
    return True
