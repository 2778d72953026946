"""Comparing a few unpaired samples: Welch's test, Holm's correction, Student's interval.

Welch 1947, "The generalization of 'Student's' problem when several different population variances are
involved", with the Welch–Satterthwaite degrees of freedom; Holm 1979, "A simple sequentially rejective
multiple test procedure".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sided p of two samples of at least two values: how likely so far apart by chance.

    The variances may differ. Samples without any scatter are equal (p = 1) or not (p = 0).

    Raises:
        ValueError: fewer than two values in a sample.
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"Welch's test needs 2 values a sample, got {len(one)} and {len(other)}.")
    difference = fmean(one) - fmean(other)
    a, b = variance(one) / len(one), variance(other) / len(other)
    if a + b == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    share = a / (a + b)  # squares of the variances themselves may vanish
    freedom = 1 / (share**2 / (len(one) - 1) + (1 - share) ** 2 / (len(other) - 1))
    from scipy.special import stdtr

    return float(2.0 * stdtr(freedom, -abs(difference) / math.sqrt(a + b)))


def variance(values: Sequence[float]) -> float:
    """Return the unbiased variance of at least two values."""
    mean = fmean(values)  # the standard library's own is exact, and too slow to decide with
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def holm(chances: Sequence[float]) -> list[float]:
    """Return the p-values of a family of tests, adjusted; each is at least its own and at most 1.

    Rejecting those below α errs anywhere in the family with a probability of at most α.
    """
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    adjusted, largest = [0.0] * len(chances), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[i]))
        adjusted[i] = largest
    return adjusted


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of the mean; all real numbers with fewer than two values.

    Args:
        values: a sample.
        confidence: how often such an interval holds the mean, between 0 and 1.
    """
    if len(values) < 2:
        return (-math.inf, math.inf)
    from scipy.special import stdtrit

    width = float(stdtrit(len(values) - 1, 0.5 + confidence / 2.0))
    half = width * math.sqrt(variance(values) / len(values))
    return (fmean(values) - half, fmean(values) + half)
