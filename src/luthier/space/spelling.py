"""Domains as people write them: ``log:1e-5:1e-1`` on a command line, ``{log: [1e-5, 1e-1]}`` in a file.

==========================  =======================================  ============================
on a command line           in a YAML, TOML or JSON file             is
==========================  =======================================  ============================
``log:1e-5:1e-1``           ``{log: [1e-5, 1e-1]}``                  ``Float``, log scale
``float:0:0.5``             ``{float: [0, 0.5]}``                    ``Float``
``float:0:1:0.1``           ``{float: [0, 1], step: 0.1}``           ``Float`` with a step
``one_minus_log:0.9:0.99``  ``{one_minus_log: [0.9, 0.99]}``         ``Float``, 1 − x in its log
``int:32:512:32``           ``{int: [32, 512], step: 32}``           ``Int`` with a step
``intlog:16:1024``          ``{intlog: [16, 1024]}``                 ``Int``, log scale
``sgd,adam``                ``[sgd, adam]``                          ``Choice``
``bool``                    ``bool``                                 ``Bool``
\\                          any other value                          ``Constant``
==========================  =======================================  ============================

In a file each may also have ``default``, ``prior``, ``confidence``, and ``when: {optimizer: sgd}``. A text
in a file is read as on a command line when it begins with one of the words above and a colon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from luthier.errors import SpaceError, nearest
from luthier.space.domains import Domain
from luthier.space.options import Bool, Choice, Constant
from luthier.space.ranges import Float, Int
from luthier.space.space import Space

_RANGES: dict[str, tuple[type[Float] | type[Int], str]] = {
    "float": (Float, "linear"),
    "uniform": (Float, "linear"),
    "log": (Float, "log"),
    "one_minus_log": (Float, "one_minus_log"),
    "int": (Int, "linear"),
    "intlog": (Int, "log"),
}
KINDS = (*_RANGES, "choice", "bool")
"""The words by which a domain is told."""

_SETTINGS = ("step", "default", "prior", "confidence", "when")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_EXAMPLES = "log:1e-5:1e-1, float:0:0.5, int:32:512:32, intlog:16:1024, sgd,adam or bool"
_SHOWN = "{log: [1e-5, 1e-1]}, {int: [32, 512], step: 32} or [sgd, adam]"


def domain_from_text(text: str) -> Domain:
    """Return the domain that ``log:1e-5:1e-1`` and its kin describe.

    Raises:
        SpaceError: naming the text, what was expected, and the nearest fix.
    """
    kind, colon, rest = text.strip().partition(":")
    if kind in _RANGES and colon:
        parts = rest.split(":")
        if len(parts) not in (2, 3) or not all(_NUMBER.fullmatch(part.strip()) for part in parts):
            raise SpaceError(
                f"{text!r}: expected {kind}:LOW:HIGH or {kind}:LOW:HIGH:STEP with numbers, "
                f"such as {_example(kind)}."
            )
        step = value_from_text(parts[2]) if len(parts) == 3 else None
        return _range(kind, [value_from_text(part) for part in parts[:2]], {"step": step}, text)
    if kind == "choice" and colon:
        return Choice(*map(value_from_text, rest.split(",")))
    if text.strip() == "bool":
        return Bool()
    if "," in text and not colon:
        return Choice(*map(value_from_text, text.split(",")))
    raise SpaceError(f"{text!r} is no range: expected {_EXAMPLES}.{nearest(kind, KINDS)}")


def is_range(text: str) -> bool:
    """Return whether *text* is meant as a range: it begins with a word for one and a colon."""
    kind, colon, _ = text.strip().partition(":")
    return text.strip() == "bool" or (bool(colon) and kind in KINDS)


def domain_from_data(data: Any) -> Domain:
    """Return the domain that a value of a YAML, TOML or JSON file describes.

    Raises:
        SpaceError: naming the value, what was expected, and the nearest fix.
    """
    if isinstance(data, Domain):
        return data
    if isinstance(data, list):
        return Choice(*cast("list[Any]", data))
    if isinstance(data, str):
        return domain_from_text(data) if is_range(data) else Constant(data)
    if isinstance(data, Mapping):
        return _from_mapping({str(k): v for k, v in cast("Mapping[Any, Any]", data).items()})
    return Constant(data)


def space_from_data(data: Any) -> Space:
    """Return the space that a file's mapping of names to domains describes.

    With the keys ``space`` and ``constraints``, or only the former, these are its parts.

    Raises:
        SpaceError: naming the hyperparameter and what is wrong with it.
    """
    if not isinstance(data, Mapping) or not data:
        raise SpaceError(
            f"A space is written as names and ranges, such as learning_rate: {_SHOWN}; got {data!r}."
        )
    entries: dict[str, Any] = {str(k): v for k, v in cast("Mapping[Any, Any]", data).items()}
    constraints: Any = ()
    if isinstance(entries.get("space"), Mapping) and entries.keys() <= {"space", "constraints"}:
        constraints = entries.get("constraints", ())
        entries = entries["space"]
    elif isinstance(entries.get("constraints"), list | str):
        raise SpaceError(
            "constraints: beside hyperparameters this would be one of them. Write them apart: "
            "{space: {"
            + f"{next((k for k in entries if k != 'constraints'), 'units')}: ..."
            + "}, "
            f"constraints: {entries['constraints']!r}" + "}."
        )
    domains: dict[str, Domain] = {}
    for name, value in entries.items():
        try:
            domains[name] = domain_from_data(value)
        except SpaceError as error:
            raise SpaceError(f"{name}: {error}") from None
    return Space(domains, constraints=constraints)


def value_from_text(text: str) -> Any:
    """Return the value that *text* is: a whole number, a number, true, false, or itself."""
    word = text.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)", word):  # 007 is a name
        return int(word)
    return float(word) if _NUMBER.fullmatch(word) and not word.startswith("0" * 2) else word


def _from_mapping(given: dict[str, Any]) -> Domain:
    kinds = [key for key in given if key in KINDS]
    unknown = [key for key in given if key not in KINDS and key not in _SETTINGS]
    if unknown or len(kinds) != 1:
        wrong = unknown[0] if unknown else ", ".join(kinds)
        hint = nearest(unknown[0], [*KINDS, *_SETTINGS]) if unknown else ""
        raise SpaceError(
            f"{wrong or given!r}: expected one of {', '.join(KINDS)}, and perhaps "
            f"{', '.join(_SETTINGS)}, such as {_SHOWN}.{hint}"
        )
    kind, settings = kinds[0], {k: v for k, v in given.items() if k not in kinds}
    when = settings.pop("when", None)
    if kind in _RANGES:
        bounds = given[kind]
        if not isinstance(bounds, list) or len(cast("list[Any]", bounds)) != 2:
            raise SpaceError(f"{kind}: {bounds!r}: expected [low, high], such as {_SHOWN}.")
        domain = _range(kind, cast("list[Any]", bounds), settings, kind)
    elif kind == "choice":
        options = given[kind]
        if not isinstance(options, list):
            raise SpaceError(f"choice: {options!r}: expected a list, such as [sgd, adam].")
        domain = Choice(*cast("list[Any]", options), **_only(settings, kind))
    else:
        domain = Bool(**_only(settings, kind))
    if when is None:
        return domain
    if not isinstance(when, Mapping):
        raise SpaceError(
            f"when: {when!r}: expected parents and values, such as {{optimizer: sgd}}."
        )
    return domain.when(**{str(k): v for k, v in cast("Mapping[Any, Any]", when).items()})


def _only(settings: dict[str, Any], kind: str) -> dict[str, Any]:
    if "step" in settings:
        raise SpaceError(f"step: a {kind} has none; take it away.")
    return settings


def _range(kind: str, bounds: list[Any], settings: dict[str, Any], text: str) -> Domain:
    make, scale = _RANGES[kind]
    given = {name: value for name, value in settings.items() if value is not None}
    try:
        return make(*bounds, scale=cast(Any, scale), **given)
    except SpaceError as error:
        fraction = make is Int and any(isinstance(bound, float) for bound in bounds)
        hint = f" For fractions use {'log' if kind == 'intlog' else 'float'}." if fraction else ""
        raise SpaceError(f"{text}: {error}{hint}") from None


def _example(kind: str) -> str:
    return {
        "log": "log:1e-5:1e-1",
        "one_minus_log": "one_minus_log:0.9:0.999",
        "int": "int:32:512:32",
        "intlog": "intlog:16:1024",
    }.get(kind, f"{kind}:0:0.5")
