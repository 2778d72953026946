"""Domains as plain data: what JSON and MessagePack can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from luthier.errors import SpaceError
from luthier.space.domains import Domain, assign
from luthier.space.keywords import UnknownSetting
from luthier.space.options import Bool, Choice, Constant
from luthier.space.ranges import Float, Int

_KINDS: dict[str, type[Domain]] = {
    kind.__name__.lower(): kind for kind in (Float, Int, Choice, Bool, Constant)
}


def domain_to_dict(domain: Domain) -> dict[str, Any]:
    """Return a domain as plain data, without its name."""
    data: dict[str, Any] = {"kind": type(domain).__name__.lower()}
    for f in fields(domain):
        value = getattr(domain, f.name)
        if f.name == "condition":
            if value:
                data["when"] = [[parent, _listed(values)] for parent, values in value]
        elif f.name != "subspaces" and value is not None:
            data[f.name] = _listed(value)
    if domain.default_given and "prior" in data and _looks_implied(domain):
        data["default_given"] = True  # or else it would be taken for the one that nobody gave
    return data


def domains_from(data: Mapping[str, Any]) -> dict[str, Domain]:
    """Return the domains of a space that ``Space.to_dict`` described, by name.

    Raises:
        SpaceError: no such description, or one by a newer version.
    """
    try:
        return {entry["name"]: _domain_from_dict(entry) for entry in data["domains"]}
    except UnknownSetting as error:
        raise _described_by_none(str(error)) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise _described_by_none(f"{type(error).__name__}: {error}") from None


def _described_by_none(why: str) -> SpaceError:
    return SpaceError(
        f"This describes no space ({why}): expected what Space.to_dict() gives, of this version of luthier "
        "or an older one."
    )


def _domain_from_dict(entry: Mapping[str, Any]) -> Domain:
    data = dict(entry)
    data.pop("name")
    kind = _KINDS.get(data.pop("kind"))
    if kind is None:
        raise SpaceError(f"Unknown kind of domain {entry['kind']!r}: written by a newer luthier?")
    condition = tuple((parent, _tupled(values)) for parent, values in data.pop("when", []))
    data = {name: _tupled(value) for name, value in data.items()}
    given = data.pop("default_given", False)
    if kind is Constant:
        return Constant(data.get("value"), condition=condition)
    if kind is Choice:
        domain = Choice(*data.pop("options"), condition=condition, **data)
    else:
        domain = kind(condition=condition, **data)
    assign(domain, default_given=given or not _looks_implied(domain))
    return domain


def _looks_implied(domain: Any) -> bool:
    """Return True for the default that a domain has when nobody gives one."""
    return domain.default == domain.decode(0.5 if isinstance(domain, Float | Int) else 0.0)


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list | tuple) else value
