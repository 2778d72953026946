"""Hartmann-6, and made-up nets: mixed, conditional spaces with interactions and divergence.

A net's loss is a floor and four penalties: for its effective learning rate, whose best value depends on
the optimizer, the depth and the width; for too little capacity; for overfitting, which capacity brings
and dropout and weight decay together reduce; and for regularisation beyond that. Too large an
effective rate diverges (NaN). Where the best values lie changes with the seed, alike for all tuners.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from tasks import Configuration, Problem, Space, Task, choice, number, whole

# Dixon & Szegő 1978
ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
HARTMANN_OPTIMUM = -3.32237

NET: Space = [
    choice("optimizer", ["sgd", "adam"]),
    number("learning_rate", 1e-5, 1.0, log=True),
    number("momentum", 0.0, 0.99, when={"optimizer": "sgd"}),
    number("one_minus_beta_2", 1e-4, 0.2, log=True, when={"optimizer": "adam"}),
    choice("activation", ["relu", "tanh", "gelu"]),
    whole("layers", 1, 6),
    whole("units", 16, 1024, log=True),
    number("dropout", 0.0, 0.7),
    number("weight_decay", 1e-6, 1e-1, log=True),
]
ACTIVATION = {"relu": 0.01, "tanh": 0.03, "gelu": 0.0}


def tasks() -> list[Task]:
    hartmann = [number(f"x{i}", 0.0, 1.0) for i in range(6)]
    return [
        Task(
            "hartmann-6", "synthetic", hartmann, lambda seed: Problem(hartmann_6), HARTMANN_OPTIMUM
        ),
        Task("net-wide", "synthetic", NET, partial(net, 11.0, 0.0)),
        Task("net-small", "synthetic", NET, partial(net, 8.0, 0.0)),
        Task("net-noisy", "synthetic", NET, partial(net, 9.5, 0.02)),
    ]


def hartmann_6(configuration: Configuration) -> float:
    x = np.array([configuration[f"x{i}"] for i in range(6)])
    return float(-ALPHA @ np.exp(-(A * (x - P) ** 2).sum(axis=1)))


def net(capacity: float, noise: float, seed: int) -> Problem:
    """Return a net whose data call for *capacity*; *noise* is the standard deviation of its loss."""
    shift = np.random.default_rng([seed, round(10 * capacity)]).uniform(-1.0, 1.0, size=5)
    draws = np.random.default_rng([seed, 1])

    def judge(configuration: Configuration) -> float:
        return net_loss(configuration, capacity, shift)

    def evaluate(configuration: Configuration) -> float:
        return judge(configuration) + noise * draws.standard_normal()

    return Problem(evaluate, judge if noise else None)


def net_loss(c: Configuration, capacity: float, shift: np.ndarray) -> float:
    excess = rate_excess(c, shift)
    if excess > 1.0:
        return math.nan
    rate = 0.8 * (1 - math.exp(-((excess / (0.5 if excess > 0 else 1.1)) ** 2)))
    own = math.log2(c["units"]) + 0.9 * c["layers"]
    lacking = max(0.0, capacity + shift[2] - own)
    spare = max(0.0, own - capacity - shift[2] + 1.5)
    wanted = 0.12 * spare  # of regularisation, in units of full dropout
    given = c["dropout"] + 0.12 * max(0.0, math.log10(c["weight_decay"]) + 4.5 + shift[3])
    overfit = max(0.0, wanted - given) ** 1.5
    choked = max(0.0, given - wanted) ** 2
    depth = 0.004 * (c["layers"] - 3 - shift[4]) ** 2
    return (
        float(0.1 + rate + 0.01 * lacking**2 + 0.6 * overfit + 0.5 * choked + depth)
        + ACTIVATION[c["activation"]]
    )


def rate_excess(c: Configuration, shift: np.ndarray) -> float:
    """Return by how many decades the effective learning rate exceeds the best one."""
    rate = math.log10(c["learning_rate"])
    depth, width = c["layers"] - 3, math.log2(c["units"] / 128)
    if c["optimizer"] == "sgd":
        return rate - math.log10(1 - c["momentum"]) - (-0.9 + 0.5 * shift[0] - 0.15 * depth)
    memory = math.log10(c["one_minus_beta_2"])  # a short memory needs smaller steps
    best = -2.7 + 0.5 * shift[1] - 0.1 * depth - 0.12 * width - 0.1 * (memory + 3)
    return rate - best
