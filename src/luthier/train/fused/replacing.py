"""Puts functions of ours in the place of ``jax.lax``'s while a step is traced for a processor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from inspect import Signature, signature
from typing import Any

import jax

Plan = Callable[..., Callable[[], Any] | None]
_lock = threading.RLock()


@contextmanager
def replaced(name: str, plan: Plan) -> Generator[None]:
    """Have ``jax.lax.NAME`` go by *plan* meanwhile, on processors.

    It gets all arguments of ``jax.lax.NAME`` by name, with its defaults, and returns what computes the
    result, or None to leave it to JAX. JAX keeps traces: a function that is jitted on its own keeps what it
    was first traced with.
    """
    if jax.default_backend() != "cpu":
        yield
        return
    with _lock:
        before = getattr(jax.lax, name)
        # And where it is made, for JAX's own functions that call it.
        places = [jax.lax, sys.modules.get(before.__module__, jax.lax)]
        planned = partial(_planned, before, signature(before), plan)
        planned.__module__ = before.__module__
        try:
            for place in places:
                setattr(place, name, planned)
            yield
        finally:
            for place in places:
                setattr(place, name, before)


def _planned(
    before: Callable[..., Any], known: Signature, plan: Plan, *arguments: Any, **named: Any
) -> Any:
    try:
        given = known.bind(*arguments, **named)
        given.apply_defaults()
        ours = plan(**given.arguments)
    except Exception:  # arguments that make no sense: JAX says so in its own words
        ours = None
    return before(*arguments, **named) if ours is None else ours()
