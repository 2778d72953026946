"""The 24 functions of COCO's noiseless test bed BBOB (Hansen et al. 2009), in 5 and 10 dimensions.

The loss is f(x) - f(optimum). Each seed has its own instance of the function: the same shifts and
rotations for every tuner.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import numpy as np

from tasks import Configuration, Problem, Space, Task, number

DIMENSIONS = (5, 10)
FUNCTIONS = range(1, 25)
USUAL = (3, 8, 10, 15, 21)  # one of each of BBOB's five groups
INSTANCES = 15


def tasks() -> list[Task]:
    """Return them all.

    Raises:
        ImportError: coco-experiment is not installed.
    """
    if importlib.util.find_spec("cocoex") is None:
        raise ImportError("pip install coco-experiment")
    return [
        Task(
            f"bbob-f{function:02}-{dimensions}d",
            "bbob",
            box(dimensions),
            partial(problem, function, dimensions),
            usual=function in USUAL,
        )
        for dimensions in DIMENSIONS
        for function in FUNCTIONS
    ]


def box(dimensions: int) -> Space:
    return [number(f"x{i}", -5.0, 5.0) for i in range(dimensions)]


def problem(function: int, dimensions: int, seed: int) -> Problem:
    import cocoex

    instance = 1 + seed % INSTANCES
    bare = cocoex.BareProblem("bbob", function, dimensions, instance)
    optimum = bare.best_value()

    def evaluate(configuration: Configuration) -> float:
        return float(bare(np.array([configuration[f"x{i}"] for i in range(dimensions)])) - optimum)

    return Problem(evaluate)
