"""The craft: what experienced tuners know of each hyperparameter, as functions a program can follow."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = ("stages",)  # imported when they are first used


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"luthier.craft.{name}")
    raise AttributeError(f"module 'luthier.craft' has no attribute {name!r}")
