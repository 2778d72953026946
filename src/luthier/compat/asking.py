"""Asks a trial, or a recorder of a space, for a hyperparameter of a given domain."""

from __future__ import annotations

from typing import Any

from luthier.space import Bool, Choice, Constant, Domain, Float, Int
from luthier.space.asking import Asking


def ask_for(asking: Asking, name: str, domain: Domain) -> Any:
    """Return this trial's value of *name*, which is as *domain* says."""
    match domain:
        case Float():
            return asking.float(
                name,
                domain.low,
                domain.high,
                scale=domain.scale,
                step=domain.step,
                default=domain.default,
            )
        case Int():
            return asking.int(
                name,
                domain.low,
                domain.high,
                scale=domain.scale,
                step=domain.step,
                default=domain.default,
            )
        case Choice():
            return asking.choice(name, list(domain.options), default=domain.default)
        case Bool():
            return asking.bool(name, domain.default)
        case Constant():
            return asking.constant(name, domain.value)
        case _:
            raise TypeError(type(domain))
