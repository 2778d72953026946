"""Puts functions of ours in the place of ``jax.lax``'s while a step is traced for a processor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, partial
from inspect import Signature, signature
from typing import Any

import jax

Can = Callable[..., bool]
_lock = threading.RLock()


@contextmanager
def replaced(name: str, can: Can, ours: Callable[..., Any]) -> Generator[None]:
    """Have ``jax.lax.NAME`` be *ours* meanwhile, for the arguments that *can* agrees to, on processors.

    Both get all arguments of ``jax.lax.NAME`` by name, with its defaults. JAX keeps traces: a function
    that is jitted on its own keeps what it was first traced with.
    """
    if jax.default_backend() != "cpu":
        yield
        return
    with _lock:
        before = getattr(jax.lax, name)
        # And where it is made, for JAX's own functions that call it.
        places = [jax.lax, sys.modules.get(before.__module__, jax.lax)]
        chosen = partial(_chosen, before, can, ours)
        chosen.__module__ = before.__module__
        try:
            for place in places:
                setattr(place, name, chosen)
            yield
        finally:
            for place in places:
                setattr(place, name, before)


def _chosen(
    before: Callable[..., Any], can: Can, ours: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    try:
        given = _signature(before).bind(*arguments, **named)
        given.apply_defaults()
        agreed = can(**given.arguments)
    except Exception:  # arguments that make no sense: JAX says so in its own words
        return before(*arguments, **named)
    return ours(**given.arguments) if agreed else before(*arguments, **named)


@cache
def _signature(function: Callable[..., Any]) -> Signature:
    return signature(function)
