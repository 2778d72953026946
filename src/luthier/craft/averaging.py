"""Exponentially weighted averages: what momentum, RMSprop and Adam remember of past gradients.

v_t = β v_(t-1) + (1 - β) x_t, from v_0 = 0. The value of k steps ago weighs (1 - β) β^k, so all that is
older than k steps together weighs β^k. After 1 / (1 - β) steps that is a little less than 1/e, about a
third: hence the rule that β averages over 1 / (1 - β) steps. Source: Andrew Ng, "Improving Deep Neural
Networks", week 2, "Exponentially weighted averages" and "Bias correction"; Kingma & Ba 2014, "Adam"
(arXiv 1412.6980), section 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luthier.errors import SpaceError


def averages(
    values: ArrayLike, beta: float, *, bias_correction: bool = False
) -> NDArray[np.float64]:
    """Return the exponentially weighted average after each value.

    Args:
        values: (n, ...) numbers, one a step.
        beta: weight of the past, 0 (none) to below 1.
        bias_correction: divide by 1 - β^t, the weight that all values so far have together. Without,
            the first averages are too small, because they start from 0 (Kingma & Ba, section 3).

    Returns:
        (n, ...) averages.

    Raises:
        SpaceError: beta is not in [0, 1).
    """
    beta = checked_beta(beta)
    given = np.asarray(values, dtype=np.float64)
    found = np.empty_like(given)
    average: Any = np.zeros(given.shape[1:])
    for step, value in enumerate(given):
        average = beta * average + (1 - beta) * value
        found[step] = average
    if bias_correction and beta > 0:
        steps = np.arange(1, len(given) + 1).reshape(-1, *[1] * (given.ndim - 1))
        found /= -np.expm1(steps * math.log(beta))  # 1 - β^t, exact where β is close to 1
    return found


def averaged_steps(beta: float) -> float:
    """Return over how many steps β averages: 1 / (1 - β).

    What is older than that weighs β^(1 / (1 - β)) in all: 0.349 for β = 0.9, 0.364 for 0.98, and less
    than 1/e = 0.368 for every β.

    Raises:
        SpaceError: beta is not in [0, 1).
    """
    return 1 / (1 - checked_beta(beta))


def beta_of(steps: float) -> float:
    """Return the β that averages over *steps* steps: 1 - 1 / steps.

    Raises:
        SpaceError: less than one step.
    """
    if not 1 <= steps < math.inf:
        raise SpaceError(f"steps={steps!r}: an average is over 1 step or more.")
    return 1 - 1 / steps


def weight_left(beta: float, steps: float) -> float:
    """Return the weight of everything older than *steps* steps in a long average: β^steps.

    Raises:
        SpaceError: beta is not in [0, 1), or a negative number of steps.
    """
    if not steps >= 0:
        raise SpaceError(f"steps={steps!r}: expected 0 or more.")
    return checked_beta(beta) ** steps


def noise_left(beta: float) -> float:
    """Return by how much the average shrinks the standard deviation of independent noise.

    It is sqrt((1 - β) / (1 + β)): as much as a plain mean of (1 + β) / (1 - β) values, so β = 0.9 is as
    smooth as a mean of 19 values although it "averages over 10 steps". (The weights' squares sum to
    (1 - β)² / (1 - β²).)

    Raises:
        SpaceError: beta is not in [0, 1).
    """
    beta = checked_beta(beta)
    return math.sqrt((1 - beta) / (1 + beta))


def checked_beta(beta: float, name: str = "beta") -> float:
    """Return *beta* if it is the weight of a past.

    Raises:
        SpaceError: it is not in [0, 1).
    """
    if not 0 <= beta < 1:
        fix = " 1 never forgets: use 0.999." if beta == 1 else ""
        raise SpaceError(f"{name}={beta!r}: expected 0 (no memory) or more, and less than 1.{fix}")
    return float(beta)
