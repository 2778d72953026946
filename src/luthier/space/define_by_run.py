"""Define-by-run: code that asks for hyperparameters while it builds a model.

``hp.float("learning_rate", 1e-4, 1e-1, scale="log")`` returns this trial's value. With a plain ``if``
a hyperparameter exists only where the code reaches it.

Where the code asks for a range that differs from what the space has under the same name, because it was
edited or because the range hangs on another value, that is the same hyperparameter: the space takes the
range that holds both, and this trial's value lies in the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from luthier.errors import SpaceError, nearest
from luthier.space.asking import Asking, check_name, scoped
from luthier.space.domains import Domain
from luthier.space.hull import hull
from luthier.space.options import Constant
from luthier.space.plain import same
from luthier.space.space import Space

_NOTHING = object()


class HyperParameters(Asking):
    """One trial's answers.

    Args:
        space: what is known of the space.
        configuration: this trial's values, by full names; it may hold some that are never asked for.
        draw: ``(full name, domain) -> value`` for hyperparameters that the space does not have yet;
            None refuses them.
        formerly: by full name, what the code may still ask for though the space was widened or narrowed
            since.
        declared: values of a space that was declared beside the code, which may be read by their names
            without asking.

    Attributes:
        space: with what the code asked for beyond it.
        grown: that, by full name: hyperparameters that it did not have, and ranges beyond its own.
        asked_for: by full name, the domain that the code asked for.
        narrower: by full name, the ranges asked for that leave out some of the space's.
        redrawn: by full name, the values of the configuration that the code's range does not hold.
    """

    def __init__(
        self,
        space: Space,
        configuration: Mapping[str, Any],
        draw: Callable[[str, Domain], Any] | None = None,
        formerly: Mapping[str, Sequence[Domain]] = MappingProxyType({}),
        declared: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.space = space
        self.grown: dict[str, Domain] = {}
        self.configuration: dict[str, Any] = {}
        self.asked_for: dict[str, Domain] = {}
        self.narrower: dict[str, Domain] = {}
        self.redrawn: dict[str, Any] = {}
        self._given = dict(configuration)
        self._draw = draw
        self._formerly = formerly
        self._declared = declared
        self._asked: dict[str, str] = {}  # name within its scope -> full name
        self._called: dict[str, str] = {}  # name as it was asked for, the latest -> full name

    def __getitem__(self, name: str) -> Any:
        """Return a value that was asked for before, or of a space that was declared beside the code.

        Raises:
            SpaceError: there is no such value, or several of that short name.
        """
        for key in (self._asked.get(name), self._called.get(name), name):
            if key in self.configuration:
                return self.configuration[key]
        if name in self._single:
            return self._single[name]
        if name in self._declared:
            return self._declared[name]
        branches = [key for key in self._declared if Space.short(key) == name]
        if len(branches) == 1:
            return self._declared[branches[0]]
        if branches:
            raise SpaceError(
                f"{name!r} could be any of {', '.join(map(repr, branches))}: ask for it by its full name."
            )
        hint = nearest(str(name), [*self._asked, *self._called, *self._declared])
        raise SpaceError(
            f"{name!r} was not asked for in this trial.{hint} Ask with "
            f"hp.float({name!r}, low, high) or its kin first."
        )

    def get(self, name: str, default: Any = None) -> Any:
        """Return ``hp[name]``, or *default* where there is no such value."""
        try:
            return self[name]
        except SpaceError:
            return default

    def _only(self, name: str, value: Any, site: str) -> Any:
        super()._only(name, value, site)
        label = scoped(self._scope, name)
        if self._in_scope() and label not in self._asked:
            key = self._key_holding(label, value)
            if key is not None:  # else the space has nothing of that name yet
                given = self._given.get(key, _NOTHING)
                if given is not _NOTHING and not same(given, value):
                    self.redrawn[key] = given
                domain = self.space[key].free
                self._enter(name, label, key, domain, domain.check(key, value))
        return value

    def _key_holding(self, label: str, value: Any) -> str | None:
        """Return the full name of the active hyperparameter called *label* that can have *value*."""
        for key, domain in self.space.domains.items():
            called = self._is_called(key, label) or self._may_be(key, label)
            active = called and self.space.is_active(key, self.configuration)
            if active and domain.free.contains(value):
                return key
        return None

    def _enter(self, name: str, label: str, key: str, domain: Domain, value: Any) -> None:
        self._asked[label] = self._called[name] = key
        self.asked_for[key] = domain
        self.configuration[key] = value

    def _ask(self, name: str, domain: Domain, site: str) -> Any:
        check_name(name)
        if not self._in_scope():
            return domain.default  # type: ignore[attr-defined]
        label = scoped(self._scope, name)
        if label in self._asked:
            key = self._asked[label]
            if self.asked_for[key] != domain and domain not in self._forms(key):
                raise SpaceError(
                    f"{name!r} was asked for as {self.asked_for[key]!r} and then as {domain!r} in "
                    "the same run: use two names, or the same range."
                )
            return self.configuration[key]
        key = self._key(label, domain)
        self._grow(key, domain)
        value = self._given.get(key, _NOTHING)
        forms = self._forms(key)
        if domain not in forms and not _fixes(self.space[key].free, domain):
            forms = [domain]  # one of many ranges: the value lies in this one
            self.narrower[key] = domain
        holding = [form for form in forms if value is not _NOTHING and form.contains(value)]
        if not holding:
            if value is not _NOTHING:
                self.redrawn[key] = value
            holding = forms
            value = self._drawn(key, forms[0])
        self._enter(name, label, key, domain, holding[0].check(key, value))
        return self.configuration[key]

    def _forms(self, key: str) -> list[Domain]:
        """Return the domain as it stands, and as it stood before the space was changed."""
        return [self.space[key].free, *self._formerly.get(key, ())]

    def _in_scope(self) -> bool:
        return all(
            any(same(self.get(parent, _NOTHING), value) for value in values)
            for parent, values in self._scope
        )

    def _domain_of(self, name: str) -> Domain | None:
        keys = (self._asked.get(name), self._called.get(name), name)
        return next((self.asked_for[key] for key in keys if key in self.asked_for), None)

    def _key(self, label: str, domain: Domain) -> str:
        """Return the full name that *label* has in this run: its branch is told by what was read."""
        called = [k for k in self.space if self._is_called(k, label) or self._may_be(k, label)]
        called.sort(key=lambda k: k != label)
        active = [k for k in called if self.space.is_active(k, self.configuration)]
        for keys in (active, called):
            for key in keys:
                if domain in self._forms(key):
                    return key
        for key in active:  # of longer names only those that are branches of this one
            own = self._is_called(key, label) or self.space[key].condition
            known = self.space[key].free
            if own and (hull(known, domain) is not None or _fixes(known, domain)):
                return key
        key, number = label, 2
        while (
            key in self.space
        ):  # the name is taken by another branch, or by something of another kind
            key, number = f"{label}#{number}", number + 1
        return key

    @staticmethod
    def _is_called(key: str, label: str) -> bool:
        number = key.removeprefix(f"{label}#")
        return key == label or (number != key and number.isdecimal())

    def _may_be(self, key: str, label: str) -> bool:
        """Return True where *key* may be *label* in a branch; 'encoder.rate' is no branch of 'rate'.

        A branch's name is told by its condition. Who declared a space by hand may have shortened it.
        """
        if not key.endswith("." + label) or key in self.configuration:
            return False
        prefix, condition = key.removesuffix("." + label), self.space[key].condition
        told = [(p, v) for p, v in condition if prefix.startswith(p + ".")]
        if not told:
            return bool(condition) and self.space.is_active(key, self.configuration)
        return any({*prefix.removeprefix(p + ".").split("|")} == {*map(str, v)} for p, v in told)

    def _grow(self, key: str, domain: Domain) -> None:
        if key not in self.space:
            names = {**self._called, **self._asked}
            scope = [(p, values) for p, values in self._scope if p not in self._single]
            condition = tuple((names.get(p, p), values) for p, values in scope)
            # Two branches that share one name here differ in what they were reached by.
            domain = domain.under(condition)
        else:
            known = self.space[key]
            both = hull(known.free, domain)
            if domain in self._forms(key) or both is None or both == known.free:
                return
            domain = both.under(known.condition)
        self.space = self.space.with_domain(key, domain)
        self.grown[key] = domain

    def _drawn(self, key: str, domain: Domain) -> Any:
        if self._draw is None:
            has = f"{key}={self._given[key]!r}" if key in self._given else f"no value for {key!r}"
            raise SpaceError(
                f"This configuration has {has}; the code asks for {domain!r}: build it with code that asks "
                "for what the configuration was found with."
            )
        return self._draw(key, domain)


def _fixes(known: Domain, asked: Domain) -> bool:
    """Return whether *known*, which was declared, is one value of what the code asks for."""
    return isinstance(known, Constant) and asked.contains(known.value)
