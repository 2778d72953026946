"""A narrower domain in a space where others hang on it."""

from __future__ import annotations

from luthier.space import Domain, Space


def with_in_place(space: Space, key: str, domain: Domain) -> Space:
    """Return *space* with *domain* for *key*, without what that leaves out for good.

    A condition forgets the values that its parent no longer has. What could never be active goes, and the
    constraints that speak of it.

    Args:
        space: has *key*.
        key: a full name.
        domain: of the hyperparameter from now on, with its condition.
    """
    kept: dict[str, Domain] = {}
    for name, known in space.domains.items():  # parents come before what hangs on them
        known = domain if name == key else known
        condition = tuple(
            (parent, tuple(v for v in values if parent in kept and kept[parent].contains(v)))
            for parent, values in known.condition
        )
        if all(values for _, values in condition):
            kept[name] = known if condition == known.condition else known.under(condition)
    constraints = [rule.text for rule in space.constraints if all(n in kept for n in rule.names)]
    return Space(kept, constraints=constraints)
