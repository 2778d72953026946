"""A study of Optuna's as its storage has it, and what tables and journals write alike."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from luthier.compat.optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
)
from luthier.compat.optuna.trial import FrozenTrial


@dataclass
class Kept:
    """A study of Optuna's as its storage has it."""

    name: str
    directions: list[str]
    user_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    system_attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    trials: list[FrozenTrial] = field(default_factory=list[FrozenTrial])

    @property
    def metric_names(self) -> list[str] | None:
        """Return what its objectives were called, if they were."""
        return self.system_attrs.get("study:metric_names")


def set_param(trial: FrozenTrial, name: str, internal: Any, of: BaseDistribution) -> None:
    """Give *trial* a parameter, whose value storages have as a number: a choice by its place."""
    if isinstance(of, CategoricalDistribution):
        value = of.choices[int(internal)]
    elif isinstance(of, IntDistribution):
        value = int(internal)
    else:
        value = float(internal)
    trial.params[name], trial.distributions[name] = value, of


def time_of(given: Any) -> datetime.datetime | None:
    """Return a naive local time, as the tables have it; journals have UTC."""
    if given is None:
        return None
    time = datetime.datetime.fromisoformat(given) if isinstance(given, str) else given
    return time.astimezone().replace(tzinfo=None) if time.tzinfo else time


__all__ = ["Kept", "set_param", "time_of"]
