"""Spaces and losses in which coarse to fine narrows, and what it tells of them."""

from __future__ import annotations

import math

import numpy as np

from luthier.search.coarse_to_fine import CoarseToFine
from luthier.space import Bool, Choice, Constant, Float, Int, Space

SPACE = Space(
    rate=Float(1e-5, 10, scale="log"),
    momentum=Float(0.5, 0.999, scale="one_minus_log"),
    units=Int(16, 1024, scale="log"),
    drop=Float(0, 0.8),
)
CONDITIONAL = Space(
    rate=Float(1e-4, 1e-1, scale="log"),
    optimizer=Choice(
        {"sgd": Space(momentum=Float(0.9, 0.999, scale="one_minus_log")), "adam": Space()}
    ),
    units=Int(8, 64, step=8),
    drop=Float(0, 0.3, step=0.1),
    flag=Bool(prior=True),
    version=Constant("a"),
)
FINER = CoarseToFine(inside="sobol")


def smooth(seed):
    """Return a bowl in SPACE, its optimum planted by *seed*, and where that is."""
    optimum = 0.15 + 0.7 * np.random.default_rng(seed).random(4)

    def loss(configuration):
        x = SPACE.encode(configuration) - optimum
        return float((x**2 * [4, 1, 0.5, 0.3]).sum() + 0.5 * x[0] * x[1])

    return loss, optimum


def valley(configuration):
    """Return a loss that calls for a rate of 0.01, SGD, and half of the units."""
    return (
        math.log10(configuration["rate"] / 1e-2) ** 2
        + 5 * (configuration["optimizer"] == "adam")
        + abs(configuration["units"] - 32) / 64
    )


def told_of(study, searcher=FINER):
    """Return what the searcher tells about each hyperparameter, by name."""
    return {part.name: part for part in searcher.narrowed(study.history, study.space)}


def ends(narrowing):
    """Return the two ends of a range that is told of."""
    return tuple(map(float, narrowing.after.split("…")))


def is_narrowed(narrowing):
    return narrowing.before != narrowing.after
