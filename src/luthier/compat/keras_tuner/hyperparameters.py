"""KerasTuner's ``hp``: asked by a build function, by hand, or before the search."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from luthier.compat.asking import ask_for
from luthier.compat.keras_tuner.configs import config_of, domain_of
from luthier.compat.keras_tuner.ranges import float_domain, int_domain
from luthier.errors import SpaceError, nearest
from luthier.space import Bool, Choice, Constant, Domain
from luthier.space.asking import Asking


@dataclass(frozen=True)
class Policy:
    """What a tuner does with hyperparameters that its ``hyperparameters=`` does not list.

    Attributes:
        listed: those that it lists; they replace what the build function asks for.
        tune_new: search the others, too; else they keep their defaults.
        allow_new: False refuses them.
    """

    listed: Mapping[str, Domain]
    tune_new: bool = True
    allow_new: bool = True


class NoValue(SpaceError, KeyError):
    """A hyperparameter that was not asked for, or is not active."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class NewEntry(SpaceError, RuntimeError):
    """A hyperparameter that is not listed, where no other may be asked for."""


class HyperParameters:
    """Values by name. Made by hand it answers with defaults, or with the values that it was given.

    What is asked for in a conditional scope whose condition does not hold is None.

    Attributes:
        values: what was answered so far, by name; those of inactive conditional scopes are not there.
        space: what was asked for, by name.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        asking: Asking | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.values: dict[str, Any] = dict(values or {})
        self.space: dict[str, Domain] = {}
        self._asking = asking
        self._policy = policy or Policy({})
        self._names: list[str] = []
        self._conditions: list[tuple[str, tuple[Any, ...]]] = []
        self._answered: dict[tuple[str, Any], Any] = {}
        for name, domain in self._policy.listed.items():
            self._ask(name, domain, ())

    # -- asking ----------------------------------------------------------------------------------

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> int:
        """Return a whole number from *min_value* to *max_value*; with ``"log"`` the step multiplies."""
        domain = int_domain(name, min_value, max_value, step, sampling, default)
        return self._ask(self._full(name), domain, self._condition(parent_name, parent_values))

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> float:
        """Return a real number from *min_value* to *max_value*."""
        domain = float_domain(name, min_value, max_value, step, sampling, default)
        return self._ask(self._full(name), domain, self._condition(parent_name, parent_values))

    def Choice(
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Return one of *values*."""
        domain = Choice(*values, default=default)
        return self._ask(self._full(name), domain, self._condition(parent_name, parent_values))

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> bool:
        """Return True or False."""
        return self._ask(
            self._full(name), Bool(default), self._condition(parent_name, parent_values)
        )

    def Fixed(
        self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """Return *value*, and record it."""
        return self._ask(
            self._full(name), Constant(value), self._condition(parent_name, parent_values)
        )

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Generator[None]:
        """Have what is asked for inside exist only where the parent has one of the values.

        Raises:
            SpaceError: there is no such parent; inside a ``name_scope`` its name lies within that, too.
        """
        self._conditions += self._condition(parent_name, parent_values)
        try:
            yield
        finally:
            self._conditions.pop()

    @contextmanager
    def name_scope(self, name: str) -> Generator[None]:
        """Put *name* and a slash before the names of what is asked for inside."""
        self._names.append(name)
        try:
            yield
        finally:
            self._names.pop()

    # -- reading ---------------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """Return a value that was asked for.

        Raises:
            SpaceError: it was not, or is not active; a KeyError, too.
        """
        for key in (self._full(name), name):
            if key in self.values:
                return self.values[key]
        if name in self.space or self._full(name) in self.space:
            raise NoValue(f"{name!r} is currently inactive: its condition does not hold.")
        raise NoValue(f"{name!r} does not exist here.{nearest(name, self.values)}")

    def __getitem__(self, name: str) -> Any:
        """Return ``get(name)``."""
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def is_active(self, name: str) -> bool:
        """Return whether *name* has a value."""
        return name in self.values

    def merge(self, hps: HyperParameters, overwrite: bool = True) -> None:
        """Take over what *hps* was asked for, and its values; those known already, with *overwrite*."""
        for name, domain in hps.space.items():
            if overwrite or name not in self.space:
                self.space[name] = domain
                self.values.pop(name, None)
                if name in hps.values:
                    self.values[name] = hps.values[name]

    def copy(self) -> HyperParameters:
        """Return one with the same values, which can be changed by itself."""
        other = HyperParameters(self.values)
        other.space = dict(self.space)
        return other

    def get_config(self) -> dict[str, Any]:
        """Return what is known of it as plain data, as KerasTuner has it, but for conditions."""
        return {
            "space": [config_of(name, domain) for name, domain in self.space.items()],
            "values": dict(self.values),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> HyperParameters:
        """Return what ``get_config`` was called on, here or in KerasTuner."""
        found = cls(config["values"])
        for entry in config["space"]:
            found.space[entry["config"]["name"]] = domain_of(entry["class_name"], entry["config"])
        return found

    # -- parts -----------------------------------------------------------------------------------

    def _full(self, name: str) -> str:
        return "/".join([*self._names, name])

    def _condition(
        self, parent: str | None, values: Any
    ) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        if parent is None:
            return ()
        for name in (self._full(parent), parent):
            if name in self.space or name in self.values:
                return ((name, _values(values)),)
        raise SpaceError(
            f"There is no hyperparameter {self._full(parent)!r} for a condition: ask for it before."
            f"{nearest(self._full(parent), self.space)}"
        )

    def _ask(self, name: str, domain: Domain, own: tuple[tuple[str, tuple[Any, ...]], ...]) -> Any:
        conditions = (*self._conditions, *own)
        domain = self._decided(name, domain)
        active = all(self._has(parent, values) for parent, values in conditions)
        key = (name, conditions)
        if key in self._answered:
            return self._answered[key]
        self.space.setdefault(name, domain)
        if not active and any(self._excludes(parent, values) for parent, values in conditions):
            return None  # hyperparameters= leaves out what it is for
        default: Any = domain.default  # type: ignore[attr-defined]
        if self._asking is None:
            value = self.values.get(name, default) if active else default
        else:
            with ExitStack() as scopes:
                for parent, values in conditions:
                    scopes.enter_context(self._asking.when(parent, *values))
                value = ask_for(self._asking, name, domain)
        if active:
            self.values[name] = value
            self._answered[key] = value
        return value if active else None

    def _decided(self, name: str, domain: Domain) -> Domain:
        if name in self._policy.listed:
            return self._policy.listed[name]
        if not self._policy.allow_new:
            raise NewEntry(
                f"{name!r} is not among hyperparameters=, and allow_new_entries=False."
                f"{nearest(name, self._policy.listed)}"
            )
        if not self._policy.tune_new:
            return Constant(domain.default)  # type: ignore[attr-defined]
        return domain

    def _excludes(self, parent: str, values: tuple[Any, ...]) -> bool:
        domain = self.space.get(parent)
        return domain is not None and not any(domain.contains(value) for value in values)

    def _has(self, parent: str, values: tuple[Any, ...]) -> bool:
        return any(parent in self.values and self.values[parent] == value for value in values)


def _values(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple | set) else (given,)


HyperParameter = Domain
