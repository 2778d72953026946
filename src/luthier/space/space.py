"""The search space: named domains, the conditions between them, and the constraints on them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from luthier.errors import SpaceError
from luthier.space.conditions import flatten_into, holds, words
from luthier.space.constraints import Constraint
from luthier.space.domains import Domain
from luthier.space.grids import Count, grid_points, grid_values
from luthier.space.names import qualified
from luthier.space.options import Constant
from luthier.space.records import domain_to_dict, domains_from

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
            flatten_into(flat, name, domain)
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

    def __reduce__(self) -> tuple[Any, ...]:
        return Space.from_dict, (self.to_dict(),)  # the domains' read-only view cannot be pickled

    def __repr__(self) -> str:
        parts = [f"{key}={domain!r}" for key, domain in self.domains.items()]
        if self.constraints:
            parts.append(f"constraints={[c.text for c in self.constraints]!r}")
        return f"Space({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from luthier.space.notebook import space_html

        return space_html(self)

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
                place = 0.5 if isinstance(domain, Constant) else uniform(key)
                configuration[key] = domain.quantile(place)
        return configuration

    def default(self) -> dict[str, Any]:
        """Return the configuration that a search begins with: defaults; where none was given, the prior."""
        configuration: dict[str, Any] = {}
        for key, domain in self.domains.items():
            if self.is_active(key, configuration):
                configuration[key] = _beginning(domain)
        return configuration

    def is_active(self, key: str, configuration: Mapping[str, Any]) -> bool:
        """Return True when the conditions of *key* hold in *configuration*."""
        return holds(self.domains[key].condition, configuration)

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
        given = qualified(self, configuration)
        checked: dict[str, Any] = {}
        for key, domain in self.domains.items():
            if not self.is_active(key, checked):
                if key in given:
                    raise SpaceError(
                        f"{key} is not active in this configuration: it needs "
                        f"{words(domain.condition)}."
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
                if place != place:  # NaN
                    raise SpaceError(f"The point is NaN for {key}, which is active.")
                configuration[key] = domain.decode(place)
        return configuration

    # -- grids -----------------------------------------------------------------------------------

    def grid(self, count: Count = None) -> Iterator[dict[str, Any]]:
        """Iterate over every combination of active values that satisfies the constraints.

        Args:
            count: values of a continuous hyperparameter (and at most of a whole or stepped one): one
                number for all, or by name. A choice always takes all of its options.

        Raises:
            SpaceError: a ``Float`` has neither a step nor a count, *count* has an unknown name, or
                there would be more than a million points.
        """
        return grid_points(self, grid_values(self, count))

    def grid_size(self, count: Count = None) -> int:
        """Return how many points the grid has."""
        return sum(1 for _ in self.grid(count))

    # -- as data ---------------------------------------------------------------------------------

    def with_domain(self, key: str, domain: Domain) -> Space:
        """Return the space grown by one hyperparameter."""
        return Space({**self.domains, key: domain}, constraints=[c.text for c in self.constraints])

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data: what JSON and MessagePack can hold."""
        return {
            "domains": [
                {"name": key, **domain_to_dict(domain)} for key, domain in self.domains.items()
            ],
            "constraints": [c.text for c in self.constraints],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Space:
        """Return the space that ``to_dict`` described.

        Raises:
            SpaceError: no such description, or one by a newer version.
        """
        return cls(domains_from(data), constraints=data.get("constraints", ()))

    @cached_property
    def _text(self) -> str:
        data = self.to_dict()
        for domain in data["domains"]:  # logs of before did not say it: their studies shall open
            domain.pop("default_given", None)
        return json.dumps(data)


def _beginning(domain: Any) -> Any:
    """Return the default, or the prior where the default is the one that nobody gave."""
    prior = getattr(domain, "prior", None)
    return domain.default if prior is None or domain.default_given else prior
