"""The search space: named domains, the conditions between them, and the constraints on them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError, nearest
from luthier.space.constraints import Constraint
from luthier.space.domains import Bool, Choice, Constant, Domain, Float, Int, one_or_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KINDS: dict[str, type[Domain]] = {
    kind.__name__.lower(): kind for kind in (Float, Int, Choice, Bool, Constant)
}
_LARGEST_GRID = 1_000_000


class Space:
    """What is searched. Immutable.

    ``Space(learning_rate=Float(1e-4, 1e-1, scale="log"), units=Int(32, 512, step=32))``

    A hyperparameter of a choice's sub-space is called by its path, ``optimizer.sgd.momentum``, so the
    same name under two options stays two hyperparameters.

    Args:
        domains: by name, for names that are no Python identifiers.
        constraints: texts such as ``"units * layers <= 4096"``; see ``Constraint``.
        **named: domains by name.

    Raises:
        SpaceError: something that is no domain, a condition on a parent that does not exist, comes
            later or never has the value; a constraint that cannot be read.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain] | None = None,
        /,
        *,
        constraints: Sequence[str] = (),
        **named: Domain,
    ) -> None:
        if domains is not None and not isinstance(domains, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpaceError(
                f"A space is made of domains by name, {{name: domain}}, not {domains!r}."
            )
        flat: dict[str, Domain] = {}
        for name, domain in [*(domains or {}).items(), *named.items()]:
            _add(flat, name, domain, ())
        self.domains: Mapping[str, Domain] = MappingProxyType(flat)
        texts = [constraints] if isinstance(constraints, str) else constraints
        if not isinstance(texts, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpaceError(f"constraints={texts!r}: expected a list of texts.")
        self.constraints = tuple(Constraint(text, flat) for text in texts)

    # -- as a mapping ----------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Domain:
        """Return the domain of a hyperparameter, by its full name."""
        return self.domains[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.domains)

    def __len__(self) -> int:
        return len(self.domains)

    def __contains__(self, key: object) -> bool:
        return key in self.domains

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        parts = [f"{key}={domain!r}" for key, domain in self.domains.items()]
        if self.constraints:
            parts.append(f"constraints={[c.text for c in self.constraints]!r}")
        return f"Space({', '.join(parts)})"

    @property
    def searched(self) -> list[str]:
        """Return the names of the hyperparameters that are no constants."""
        return [key for key, domain in self.domains.items() if not isinstance(domain, Constant)]

    @property
    def dimension(self) -> int:
        """Return the number of hyperparameters that are no constants."""
        return len(self.searched)

    # -- configurations --------------------------------------------------------------------------

    def sample(self, uniform: Callable[[str], float]) -> dict[str, Any]:
        """Return the configuration at the quantiles ``uniform(name)`` in [0, 1), active names only.

        Constraints are not looked at; see ``satisfies``.
        """
        configuration: dict[str, Any] = {}
        for key, domain in self.domains.items():
            if self.is_active(key, configuration):
                configuration[key] = domain.quantile(uniform(key))
        return configuration

    def default(self) -> dict[str, Any]:
        """Return the configuration of defaults."""
        configuration: dict[str, Any] = {}
        for key, domain in self.domains.items():
            if self.is_active(key, configuration):
                configuration[key] = domain.default  # type: ignore[attr-defined]
        return configuration

    def is_active(self, key: str, configuration: Mapping[str, Any]) -> bool:
        """Return True when the conditions of *key* hold in *configuration*."""
        for parent, values in self.domains[key].condition:
            if parent not in configuration:
                return False
            value = configuration[parent]
            if not any(type(v) is type(value) and v == value for v in values):
                return False
        return True

    def violated(self, configuration: Mapping[str, Any]) -> list[str]:
        """Return the constraints that *configuration* breaks."""
        return [c.text for c in self.constraints if not c(configuration)]

    def satisfies(self, configuration: Mapping[str, Any]) -> bool:
        """Return True when no constraint is broken."""
        return not self.constraints or not self.violated(configuration)

    def check(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return *configuration* complete, under full names, in the space's order and types.

        Names within a branch are understood where they are unambiguous.

        Raises:
            SpaceError: a name that the space does not have or that is not active, one that is
                missing, a value that its domain does not hold, or a broken constraint.
        """
        given = self._qualified(configuration)
        checked: dict[str, Any] = {}
        for key, domain in self.domains.items():
            if not self.is_active(key, checked):
                if key in given:
                    raise SpaceError(
                        f"{key} is not active in this configuration: {self._why(key)}."
                    )
            elif key in given:
                checked[key] = domain.check(key, given[key])
            elif isinstance(domain, Constant):
                checked[key] = domain.value
            else:
                raise SpaceError(f"The configuration lacks {key!r}: expected {domain.free!r}.")
        if broken := self.violated(checked):
            raise SpaceError(f"The configuration breaks the constraint {broken[0]!r}.")
        return checked

    def _qualified(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(configuration, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpaceError(
                f"A configuration is values by name, {{name: value}}, not {configuration!r}."
            )
        given = {k: v for k, v in configuration.items() if k in self.domains}
        for name, value in configuration.items():
            if name in self.domains:
                continue
            called = [key for key in self.domains if self.short(key) == name]
            active = [key for key in called if self.is_active(key, configuration)]
            if len(active or called) != 1:
                raise SpaceError(
                    f"The space has no hyperparameter {name!r}"
                    + (f"; it could be any of {', '.join(called)}." if called else ".")
                    + nearest(str(name), [*self.domains, *map(self.short, self.domains)])
                )
            if (active or called)[0] in given:
                raise SpaceError(f"The configuration gives {(active or called)[0]} twice.")
            given[(active or called)[0]] = value
        return given

    def _why(self, key: str) -> str:
        conditions = self.domains[key].condition
        return "it needs " + " and ".join(
            f"{parent}={one_or_all(values)!r}" for parent, values in conditions
        )

    @staticmethod
    def short(key: str) -> str:
        """Return the name within its branch: 'momentum' for 'optimizer.sgd.momentum'."""
        return key.rpartition(".")[2] or key

    # -- the unit cube ---------------------------------------------------------------------------

    def encode(self, configuration: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the configuration in the unit cube, shape (dimension,), NaN where inactive."""
        import numpy as np

        return np.array(
            [
                self.domains[key].encode(configuration[key]) if key in configuration else np.nan
                for key in self.searched
            ],
            dtype=np.float64,
        )

    def decode(self, point: Sequence[float] | NDArray[np.float64]) -> dict[str, Any]:
        """Return the configuration at a point of the unit cube, shape (dimension,).

        Raises:
            SpaceError: a point of another length, or NaN for an active hyperparameter.
        """
        searched = self.searched
        if len(point) != len(searched):
            raise SpaceError(f"Expected a point with {len(searched)} numbers, got {len(point)}.")
        places = {key: float(place) for key, place in zip(searched, point, strict=True)}
        configuration: dict[str, Any] = {}
        for key, domain in self.domains.items():
            if self.is_active(key, configuration):
                place = places.get(key, 0.5)
                if place != place:
                    raise SpaceError(f"The point is NaN for {key}, which is active.")
                configuration[key] = domain.decode(place)
        return configuration

    # -- grids -----------------------------------------------------------------------------------

    def grid(self, count: Mapping[str, int] | int | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over every combination of active values that satisfies the constraints.

        Args:
            count: values of a continuous hyperparameter (and at most of a discrete one): one number
                for all, or by name.

        Raises:
            SpaceError: a ``Float`` has neither a step nor a count, *count* has an unknown name, or
                there would be more than a million points.
        """
        values = self._grid_values(count)

        def fill(index: int, configuration: dict[str, Any]) -> Iterator[dict[str, Any]]:
            if index == len(keys):
                if self.satisfies(configuration):
                    yield dict(configuration)
                return
            key = keys[index]
            if not self.is_active(key, configuration):
                yield from fill(index + 1, configuration)
                return
            for value in values[key]:
                yield from fill(index + 1, {**configuration, key: value})

        keys = list(self.domains)
        return fill(0, {})

    def grid_size(self, count: Mapping[str, int] | int | None = None) -> int:
        """Return how many points the grid has."""
        return sum(1 for _ in self.grid(count))

    def _grid_values(self, count: Mapping[str, int] | int | None) -> dict[str, list[Any]]:
        by_name = count if isinstance(count, Mapping) else {}
        for name, number in [*by_name.items(), *([] if by_name else [("", count)])]:
            if name and name not in self.domains:
                raise SpaceError(
                    f"The grid's count names {name!r}, which the space does not have."
                    f"{nearest(str(name), self.domains)}"
                )
            whole = isinstance(number, int) and not isinstance(number, bool) and number >= 1
            if not whole and number is not None and number is not by_name:
                raise SpaceError(
                    f"The grid's count must be a whole number above 0, got {number!r}"
                    + (f" for {name!r}." if name else ".")
                )
        values: dict[str, list[Any]] = {}
        points = 1
        for key, domain in self.domains.items():
            wanted = by_name.get(key, count if isinstance(count, int) else None)
            if wanted is None and domain.cardinality is None:
                raise SpaceError(
                    f"A grid over {key}={domain.free!r} has no end: give it a step, or say how many "
                    f"values it takes, Grid(count={{{key!r}: 3}})."
                )
            sizes = [n for n in (wanted, domain.cardinality) if n is not None]
            if points * min(sizes) > _LARGEST_GRID:  # before a list of so many is made
                raise SpaceError(
                    f"The grid has more than {_LARGEST_GRID:,} points by {key!r}: grids are for two "
                    "or three hyperparameters with a few values; use searcher='random'."
                )
            values[key] = domain.values(wanted)
            points *= len(values[key])
        return values

    # -- as data ---------------------------------------------------------------------------------

    def with_domain(self, key: str, domain: Domain) -> Space:
        """Return the space grown by one hyperparameter."""
        return Space({**self.domains, key: domain}, constraints=[c.text for c in self.constraints])

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data: what JSON and MessagePack can hold."""
        return {
            "domains": [
                {"name": key, **_domain_to_dict(domain)} for key, domain in self.domains.items()
            ],
            "constraints": [c.text for c in self.constraints],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Space:
        """Return the space that ``to_dict`` described.

        Raises:
            SpaceError: a kind of domain that this version does not know.
        """
        domains = {entry["name"]: _domain_from_dict(entry) for entry in data["domains"]}
        return cls(domains, constraints=data["constraints"])

    @cached_property
    def _text(self) -> str:
        return json.dumps(self.to_dict())


def _add(
    flat: dict[str, Domain],
    name: str,
    domain: Domain,
    outer: tuple[tuple[str, tuple[Any, ...]], ...],
) -> None:
    """Add a domain under its full name, and the sub-spaces it opens after it."""
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
                _add(flat, prefix + key, inner.under(moved), ((name, (option,)),))


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


def _domain_to_dict(domain: Domain) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": type(domain).__name__.lower()}
    for f in fields(domain):
        value = getattr(domain, f.name)
        if f.name == "condition":
            if value:
                data["when"] = [[parent, _listed(values)] for parent, values in value]
        elif f.name != "subspaces" and value is not None:
            data[f.name] = _listed(value)
    return data


def _domain_from_dict(entry: Mapping[str, Any]) -> Domain:
    data = dict(entry)
    data.pop("name")
    kind = _KINDS.get(data.pop("kind"))
    if kind is None:
        raise SpaceError(f"Unknown kind of domain {entry['kind']!r}: written by a newer luthier?")
    condition = tuple((parent, _tupled(values)) for parent, values in data.pop("when", []))
    data = {name: _tupled(value) for name, value in data.items()}
    if kind is Choice:
        return Choice(*data.pop("options"), condition=condition, **data)
    if kind is Constant:
        return Constant(data.get("value"), condition=condition)
    return kind(condition=condition, **data)


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list | tuple) else value
