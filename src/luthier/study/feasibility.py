"""What running out of memory teaches: which configurations would run out again, and half the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from luthier.errors import SpaceError
from luthier.space import Choice, Int, Space

_SIZES = (
    *("batch", "unit", "width", "hidden", "layer", "depth", "filter", "channel", "head"),
    *("dim", "embed", "length", "size", "block", "neuron", "context", "seq"),
)


def would_run_out(
    configuration: Mapping[str, Any], infeasible: Sequence[Mapping[str, Any]]
) -> bool:
    """Return True when *configuration* needs at least the memory of one that ran out.

    That is taken to be so when every size in it (batch size, units, layers, ... by the name) is as
    large or larger, and every choice is the same. Rates and the like do not matter.
    """
    return any(_dominates(configuration, known) for known in infeasible)


def _dominates(configuration: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    if configuration.keys() != known.keys():
        return False
    sizes = 0
    for name, before in known.items():
        value = configuration[name]
        if isinstance(before, int | float) and not isinstance(before, bool):
            if is_size(name):
                sizes += 1
                if not isinstance(value, int | float) or value < before:
                    return False
        elif value != before:
            return False
    return sizes > 0


def is_size(name: str) -> bool:
    """Return True when a hyperparameter of this name makes the net or its batches larger."""
    short = Space.short(name).lower()
    return any(word in short for word in _SIZES) and "rate" not in short and "decay" not in short


def halved(space: Space, configuration: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return *configuration* with hyperparameter *name* at half its value, or the next legal one below.

    None when the space has no such value, or not that hyperparameter.
    """
    key = next((k for k in configuration if name in (k, Space.short(k))), None)
    domain = space.domains.get(key) if key is not None else None
    if key is None or domain is None or not isinstance(configuration[key], int | float):
        return None
    half = configuration[key] / 2
    options: Sequence[Any] = ()
    if isinstance(domain, Choice):
        options = [v for v in domain.options if isinstance(v, int | float)]
    elif isinstance(domain, Int):
        step = domain.step or 1
        options = [domain.low + (int(half) - domain.low) // step * step]
    fitting = sorted((v for v in options if v <= half), reverse=True)
    for value in fitting:
        try:
            return space.check({**configuration, key: value})
        except SpaceError:
            continue
    return None
