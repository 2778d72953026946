"""FCNet: the whole grid of 62,208 small nets on regression data, trained 4 times (Klein & Hutter 2019).

Numbers are searched as ranges and looked up at the nearest value of the grid. An evaluation draws one of
the 4 trainings; a tuner is judged by the mean over the 4 of the configuration it holds for the best.
"""

from __future__ import annotations

import json
import math
from functools import cache, partial
from typing import Any

import numpy as np

from tasks import DATA, Configuration, Problem, Task, choice, number, whole

LINEAR = ("dropout_1", "dropout_2")
WHOLE = ("batch_size", "n_units_1", "n_units_2")


def tasks() -> list[Task]:
    """Return one for each table.

    Raises:
        OSError: the data folder lacks them.
    """
    grid = json.loads((DATA / "fcnet" / "space.json").read_text())["space"]
    space = [parameter(name, values) for name, values in grid.items()]
    names = sorted(path.stem for path in (DATA / "fcnet").glob("*.npz"))
    return [Task(f"fcnet-{name}", "fcnet", space, partial(problem, name, grid)) for name in names]


def parameter(name: str, values: list[Any]) -> dict[str, Any]:
    if isinstance(values[0], str):
        return choice(name, values)
    make = whole if name in WHOLE else number
    return make(name, min(values), max(values), log=name not in LINEAR)


@cache
def table(name: str) -> np.ndarray:
    with np.load(DATA / "fcnet" / f"{name}.npz") as stored:
        return stored["val_loss"]


def problem(name: str, grid: dict[str, list[Any]], seed: int) -> Problem:
    losses, draws = table(name), np.random.default_rng(seed)

    def evaluate(configuration: Configuration) -> float:
        trained = losses[place(grid, configuration)]
        return float(trained[draws.integers(len(trained))])

    def judge(configuration: Configuration) -> float:
        return float(losses[place(grid, configuration)].mean())

    return Problem(evaluate, judge)


def place(grid: dict[str, list[Any]], configuration: Configuration) -> tuple[int, ...]:
    """Return the indices of the grid's nearest configuration."""
    return tuple(nearest(name, values, configuration[name]) for name, values in grid.items())


def nearest(name: str, values: list[Any], value: Any) -> int:
    if isinstance(value, str):
        return values.index(value)
    far = [
        abs(value - other) if name in LINEAR else abs(math.log(value / other)) for other in values
    ]
    return far.index(min(far))
