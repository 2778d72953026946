"""The tasks that searchers are compared on, one module a family, each with ``tasks()``.

A space is plain JSON, so that every peer can read it in its own process: a list of hyperparameters
with *name* and *kind* (``float``, ``int``, ``choice``); *low*, *high*, *log*; or *options*; and
*condition*, None or ``{"name": parent, "values": [...]}``, under which alone it is active.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

Configuration = dict[str, Any]
Space = list[dict[str, Any]]

FAMILIES = ("bbob", "synthetic", "lcbench", "taskset", "fcnet", "training")
DATA = Path(os.environ.get("LUTHIER_BENCHMARK_DATA", "/work/shared/data"))


class Problem(NamedTuple):
    """One seed's version of a task.

    *evaluate* returns the loss that the tuner is told, NaN when training diverged; *judge* the one it
    is judged by, when that is another one (without the noise).
    """

    evaluate: Callable[[Configuration], float]
    judge: Callable[[Configuration], float] | None = None


class Task(NamedTuple):
    """Something to minimize; *optimum* is known or 0; one that is not *usual* runs when it is named."""

    name: str
    family: str
    space: Space
    problem: Callable[[int], Problem]
    optimum: float = 0.0
    usual: bool = True


def catalogue() -> tuple[dict[str, Task], dict[str, str]]:
    """Return the tasks by name, and for each family that cannot run here what it lacks."""
    found: dict[str, Task] = {}
    missing = {}
    for family in FAMILIES:
        try:
            made = import_module(f"tasks.{family}").tasks()
        except (ImportError, OSError) as error:
            missing[family] = str(error)
        else:
            found |= {task.name: task for task in made}
    return found, missing


# -- spaces ------------------------------------------------------------------------------------------


def number(
    name: str, low: float, high: float, *, log: bool = False, when: dict | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "float",
        "low": low,
        "high": high,
        "log": log,
        "condition": condition(when),
    }


def whole(
    name: str, low: int, high: int, *, log: bool = False, when: dict | None = None
) -> dict[str, Any]:
    return {**number(name, low, high, log=log, when=when), "kind": "int"}


def choice(name: str, options: list[Any], *, when: dict | None = None) -> dict[str, Any]:
    return {"name": name, "kind": "choice", "options": options, "condition": condition(when)}


def condition(when: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return ``{"optimizer": "sgd"}`` as the space holds it."""
    if when is None:
        return None
    ((parent, value),) = when.items()
    return {"name": parent, "values": value if isinstance(value, list) else [value]}


def active(space: Space, configuration: Configuration) -> Configuration:
    """Return *configuration* without what its conditions switch off; parents come first in a space."""
    kept: Configuration = {}
    for parameter in space:
        rule = parameter["condition"]
        if rule is None or kept.get(rule["name"]) in rule["values"]:
            kept[parameter["name"]] = configuration[parameter["name"]]
    return kept
