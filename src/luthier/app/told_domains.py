"""What a command line says of ranges, options and values, read by what the space knows of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from luthier.errors import StudyError, nearest
from luthier.space import Choice, Constant, Domain, Float, Int, Space
from luthier.space.plain import same


def domain_told(space: Space, name: str, text: str) -> Domain:
    """Return the domain of *name* with the range ``LOW..HIGH`` or the options ``A,B,C`` of *text*.

    All else stays: scale, step, condition, and the default and the belief where they still lie in it.

    Raises:
        StudyError: the space has no such hyperparameter, or *text* is nothing for one of its kind.
        SpaceError: a range or options that cannot be.
    """
    domain = space.domains.get(name)
    if domain is None:
        raise StudyError(
            f"The space has no {name!r}: it has {', '.join(space.domains)}.{nearest(name, space.domains)}"
        )
    low, dots, high = text.partition("..")
    if isinstance(domain, Float | Int) and dots:
        kind = float if isinstance(domain, Float) else int
        try:
            ends = {"low": kind(low), "high": kind(high)}
        except ValueError as error:
            raise StudyError(f"{name}: expected LOW..HIGH, got {text!r}: {error}") from error
        return with_ends(domain, **ends)
    if isinstance(domain, Choice) and not dots:
        options = [_option(domain.options, option) for option in text.split(",")]
        return with_options(domain, options)
    raise StudyError(f"{name} is {domain!r}: expected LOW..HIGH for a range, A,B,C for options.")


def value_told(space: Space, name: str, text: str) -> Any:
    """Return the value of *name*, a full or a short one, that *text* says."""
    named = [domain for key, domain in space.domains.items() if name in (key, space.short(key))]
    options = [
        option
        for domain in named
        if isinstance(domain, Choice | Constant)
        for option in (domain.options if isinstance(domain, Choice) else (domain.value,))
    ]
    return _option(options, text) if options else _value(text)


def with_ends(domain: Float | Int, low: Any, high: Any) -> Domain:
    """Return *domain* from *low* to *high*, with the default and the belief where they lie in it."""
    plain = dataclasses.replace(domain, low=low, high=high, default=None, prior=None)
    return dataclasses.replace(plain, **_beliefs(domain, plain))


def with_options(domain: Choice, options: Sequence[Any]) -> Domain:
    """Return *domain* with these *options*, with the default and the belief where they are among them."""
    return Choice(options, condition=domain.condition, **_beliefs(domain, Choice(options)))


def _beliefs(known: Float | Int | Choice, domain: Domain) -> dict[str, Any]:
    """Return the default and the belief of *known* where they lie in *domain*."""
    default = known.default if known.default_given and domain.contains(known.default) else None
    prior = known.prior if known.prior is not None and domain.contains(known.prior) else None
    return {"default": default, "prior": prior, "confidence": known.confidence}


def _option(known: Sequence[Any], text: str) -> Any:
    """Return the known option that is written as *text*, else what *text* says by itself.

    Where all known ones are texts, a new one is, too: 16 beside "8" and "32" is "16".
    """
    for option in known:
        if str(option) == text:
            return option
    value = _value(text)
    for option in known:
        if same(option, value):
            return option
    return text if all(isinstance(option, str) for option in known) else value


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)
