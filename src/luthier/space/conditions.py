"""Conditions: which hyperparameters exist where, checked as a space is put together.

A choice's sub-spaces are entered here: what they hold goes into the one flat space under its path,
``optimizer.sgd.momentum``, on the condition that the option was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.errors import SpaceError, nearest
from luthier.space.domains import Condition, Domain, one_or_all
from luthier.space.options import Choice
from luthier.space.plain import same


def holds(condition: Condition, configuration: Mapping[str, Any]) -> bool:
    """Return True when every parent has one of its values in *configuration*."""
    for parent, values in condition:
        if parent not in configuration:
            return False
        value = configuration[parent]
        if not any(same(v, value) for v in values):
            return False
    return True


def words(condition: Condition) -> str:
    """Return the condition as one reads it: ``optimizer='sgd' and layers=(2, 3)``."""
    return " and ".join(f"{parent}={one_or_all(values)!r}" for parent, values in condition)


def flatten_into(
    flat: dict[str, Domain],
    name: str,
    domain: Domain,
    outer: Condition = (),
) -> None:
    """Add a domain under its full name, and the sub-spaces it opens after it.

    Raises:
        SpaceError: no name, no domain, or a condition that can never hold.
    """
    from luthier.space.space import Space  # which is made by this function

    if not isinstance(name, str) or not name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpaceError(f"A hyperparameter's name must be a non-empty text, got {name!r}.")
    if not isinstance(domain, Domain):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpaceError(
            f"{name}={domain!r} is no domain: expected Float(low, high), Int(low, high), "
            "Choice(...), Bool() or Constant(...)."
        )
    if name in flat:
        raise SpaceError(f"The space has {name!r} twice.")
    domain = domain.under(domain.condition + outer)
    domain = domain.under(
        tuple((p, _condition_values(flat, name, p, values)) for p, values in domain.condition)
    )
    _check_together(name, domain)
    flat[name] = domain
    if isinstance(domain, Choice) and domain.subspaces:
        flat[name] = domain.closed  # its sub-spaces are entered here, and only once
        for option, subspace in domain.subspaces.items():
            prefix = f"{name}.{option}."
            if not isinstance(subspace, Space):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise SpaceError(f"{name}: option {option!r} must open a Space, got {subspace!r}.")
            if subspace.constraints:
                raise SpaceError(
                    f"{name}: the space under option {option!r} has constraints of its own "
                    f"({subspace.constraints[0]}): give them to the outer space, by full names "
                    f"such as {prefix}{next(iter(subspace), 'x')}."
                )
            for key, inner in subspace.domains.items():
                moved = tuple((prefix + parent, values) for parent, values in inner.condition)
                flatten_into(flat, prefix + key, inner.under(moved), ((name, (option,)),))


def _check_together(name: str, domain: Domain) -> None:
    """Refuse conditions that no value of a parent can meet together."""
    for i, (parent, values) in enumerate(domain.condition):
        for other, allowed in domain.condition[:i]:
            if other == parent and not any(same(a, v) for a in allowed for v in values):
                raise SpaceError(
                    f"{name} is never active: it needs {parent}={one_or_all(allowed)!r} and "
                    f"{parent}={one_or_all(values)!r} at once. For either, use one "
                    f".when({parent}={(*allowed, *values)!r})."
                )


def _condition_values(
    flat: Mapping[str, Domain], name: str, parent: str, values: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return the values in the parent's own type and order, once each."""
    if parent not in flat:
        raise SpaceError(
            f"{name} depends on {parent!r}, which the space does not have before it."
            f"{nearest(parent, flat)} Parents come first."
        )
    for value in values:
        if not flat[parent].contains(value):
            raise SpaceError(
                f"{name} depends on {parent}={value!r}, which {parent} never is: it is "
                f"{flat[parent].free!r}."
            )
    if not values:
        raise SpaceError(f"{name} depends on {parent!r} but on no value of it.")
    checked = [flat[parent].check(parent, value) for value in values]
    once = {(type(value), value): value for value in checked}
    return tuple(sorted(once.values(), key=flat[parent].encode))
