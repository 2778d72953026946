"""TaskSet: recurrent nets on IMDB reviews under Adam with 8 hyperparameters (Metz et al. 2020).

The table holds 1,000 random configurations. A configuration's loss is the geometric mean of the final
validation losses of its 5 nearest neighbours, by their distance d in the unit cube of logarithms
weighted 1/d². It diverges (NaN) when the nearest one did; farther ones that did are left out.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from tasks import DATA, Configuration, Problem, Task, number

NEIGHBOURS = 5
# TaskSet's own ranges; the betas by their distance from 1
SPACE = [
    number("learning_rate", 1e-8, 10.0, log=True),
    number("one_minus_beta_1", 1e-4, 1.0, log=True),
    number("one_minus_beta_2", 1e-6, 1.0, log=True),
    number("epsilon", 1e-10, 1e3, log=True),
    number("l1", 1e-8, 10.0, log=True),
    number("l2", 1e-8, 10.0, log=True),
    number("linear_decay", 1e-7, 1e-4, log=True),
    number("exponential_decay", 1e-6, 1e-3, log=True),
]
LOW = np.log([p["low"] for p in SPACE])
WIDTH = np.log([p["high"] for p in SPACE]) - LOW


def tasks() -> list[Task]:
    """Return one for each table.

    Raises:
        OSError: there are none in the data folder.
    """
    names = sorted(path.stem for path in (DATA / "taskset").glob("*.npz"))
    if not names:
        raise FileNotFoundError(f"no tables in {DATA / 'taskset'}")
    return [
        Task(f"taskset-{name.removeprefix('imdb_')}", "taskset", SPACE, partial(problem, name))
        for name in names
    ]


@cache
def measured(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the configurations in the unit cube, and their curves of validation losses.

    A curve has 51 points, the first one before any training; NaN where training had diverged.
    """
    with np.load(DATA / "taskset" / f"{name}.npz") as stored:
        raw, losses = stored["X"].copy(), stored["valid"].astype(float)
    raw[:, 1:3] = 1.0 - raw[:, 1:3]
    return (np.log(raw) - LOW) / WIDTH, np.where(np.isfinite(losses), losses, np.nan)


def squares(name: str, configuration: Configuration) -> np.ndarray:
    """Return the squared distances of all the table's configurations in the unit cube."""
    values = np.log([configuration[p["name"]] for p in SPACE])
    return (((values - LOW) / WIDTH - measured(name)[0]) ** 2).sum(axis=1)


def problem(name: str, seed: int) -> Problem:
    with np.errstate(invalid="ignore"):
        logs = np.log(measured(name)[1][:, -1])

    def evaluate(configuration: Configuration) -> float:
        far = squares(name, configuration)
        near = np.argsort(far)[:NEIGHBOURS]
        if not np.isfinite(logs[near[0]]):
            return float("nan")
        near = near[np.isfinite(logs[near])]
        return float(np.exp(np.average(logs[near], weights=1.0 / (far[near] + 1e-12))))

    return Problem(evaluate)
