"""Tasks whose whole learning curves are known: TaskSet's tables and LCBench's surrogate.

A proposal trains along the curve of the table's nearest configuration, or along the surrogate's own.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from peers.random_search import RandomSearch
from tasks import Configuration, Space, lcbench, taskset

Array = NDArray[np.float64]
Lookup = Callable[[Configuration], Array]

DRAWN = 2000  # configurations that say what is usual, where there is no table
REFINED = (20, 200)  # rounds, and configurations each around the best so far
LCBENCH_USUAL = (*lcbench.USUAL, "168868", "167190", "189354", "126029", "167104")


class Reference(NamedTuple):
    """What a task's regrets are measured by: 0 is *best*, 1 is *median*."""

    best: float
    median: float

    def regret(self, loss: Array) -> Array:
        return (loss - self.best) / (self.median - self.best)


class CurveTask(NamedTuple):
    """Something to train for *epochs* epochs, with the loss after each of them; NaN: it diverged."""

    name: str
    family: str
    space: Space
    epochs: int
    look_up: Lookup
    refer: Callable[[Path], Reference]
    usual: bool


class Curves:
    """The curves of one task, each fetched once."""

    def __init__(self, task: CurveTask) -> None:
        self.task = task
        self.known: dict[str, Array] = {}

    def of(self, configuration: Configuration) -> Array:
        """Return the losses after epochs 1, 2, ..."""
        key = words(configuration)
        if key not in self.known:
            self.known[key] = self.task.look_up(configuration)
        return self.known[key]


def pace(configuration: Configuration) -> float:
    """Return how long an epoch of *configuration* takes: always the same, from 0.5 to 2."""
    return 4.0 ** (zlib.crc32(words(configuration).encode()) / 2**32 - 0.5)


def words(configuration: Configuration) -> str:
    return json.dumps(dict(sorted(configuration.items())))


def catalogue() -> tuple[dict[str, CurveTask], dict[str, str]]:
    """Return the tasks by name, and for each family that cannot run here what it lacks."""
    found: dict[str, CurveTask] = {}
    missing: dict[str, str] = {}
    for family, made in (("taskset", taskset_tasks), ("lcbench", lcbench_tasks)):
        try:
            found |= {task.name: task for task in made()}
        except (ImportError, OSError) as error:
            missing[family] = str(error)
    return found, missing


# -- TaskSet -----------------------------------------------------------------------------------------


def taskset_tasks() -> list[CurveTask]:
    made: list[CurveTask] = []
    for task in taskset.tasks():
        table = f"imdb_{task.name.removeprefix('taskset-')}"
        epochs = taskset.measured(table)[1].shape[1] - 1
        look_up, refer = partial(nearest, table), partial(tabulated, table)
        made.append(CurveTask(task.name, "taskset", task.space, epochs, look_up, refer, True))
    return made


def nearest(table: str, configuration: Configuration) -> Array:
    row = int(taskset.squares(table, configuration).argmin())
    return taskset.measured(table)[1][row, 1:]  # the first point is before any training


def tabulated(table: str, cache: Path) -> Reference:
    return reference(taskset.measured(table)[1][:, 1:])


def reference(losses: Array) -> Reference:
    """Return the lowest loss, and the median over the configurations of the lowest of each."""
    lowest = np.where(np.isfinite(losses), losses, math.inf).min(axis=1)
    return Reference(float(lowest.min()), float(np.median(lowest)))


# -- LCBench -----------------------------------------------------------------------------------------


def lcbench_tasks() -> list[CurveTask]:
    made: list[CurveTask] = []
    for task in lcbench.tasks():
        name = task.name.removeprefix("lcbench-")
        refer = partial(searched, task.name, task.space, partial(predicted, name))
        look_up, usual = partial(whole_curve, name), name in LCBENCH_USUAL
        made.append(
            CurveTask(task.name, "lcbench", task.space, lcbench.EPOCHS, look_up, refer, usual)
        )
    return made


def whole_curve(name: str, configuration: Configuration) -> Array:
    return predicted(name, [configuration])[0]


def predicted(name: str, configurations: list[Configuration]) -> Array:
    """Return the losses, of shape (configurations, epochs)."""
    rows = [
        {**configuration, "OpenML_task_id": name, "epoch": epoch}
        for configuration in configurations
        for epoch in range(1, lcbench.EPOCHS + 1)
    ]
    return lcbench.losses(rows).reshape(len(configurations), lcbench.EPOCHS)


def searched(
    name: str, space: Space, look_up: Callable[[list[Configuration]], Array], cache: Path
) -> Reference:
    """Return the reference by random draws, and for the best of it by further ones around the best.

    It is kept in *cache*.
    """
    path = cache / f"reference__{name}.json"
    if path.exists():
        return Reference(*json.loads(path.read_text()))
    draws = RandomSearch(space, 0)
    tried = [draws.ask() for _ in range(DRAWN)]
    losses = look_up(tried)
    found, median = reference(losses)
    best = tried[int(losses.min(axis=1).argmin())]
    for turn in range(REFINED[0]):
        near = [moved(draws, best, 0.3 * 0.8**turn) for _ in range(REFINED[1])]
        lowest = look_up(near).min(axis=1)
        if lowest.min() < found:
            found, best = float(lowest.min()), near[int(lowest.argmin())]
    path.write_text(json.dumps([found, median]))
    return Reference(found, median)


def moved(draws: RandomSearch, middle: Configuration, share: float) -> Configuration:
    """Return *middle* with about half of it a *share* of the way to another draw."""
    other: Configuration = {}
    for p in draws.space:
        value, drawn = middle[p["name"]], draws.drawn(p)
        if draws.draws.random() < 0.5:
            other[p["name"]] = value
        elif p["kind"] == "choice":
            other[p["name"]] = drawn
        else:
            other[p["name"]] = between(p, value, drawn, share)
    return other


def between(p: dict[str, Any], value: float, drawn: float, share: float) -> float:
    made = value ** (1 - share) * drawn**share if p["log"] else value + share * (drawn - value)
    made = round(made) if p["kind"] == "int" else made
    return min(p["high"], max(p["low"], made))
