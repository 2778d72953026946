"""Curves of the best value so far, and mean ranks with their bootstrap intervals."""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000


def best_so_far(losses: list[float | None], judged: list[float | None]) -> np.ndarray:
    """Return, after each evaluation, what the configuration of the lowest loss so far is judged by.

    None is a diverged trial; before the first that did not diverge the best is infinite.
    """
    told = np.array([np.inf if loss is None else loss for loss in losses], float)
    value = np.array([np.inf if loss is None else loss for loss in judged], float)
    lowest = np.minimum.accumulate(told)
    first = told < np.concatenate([[np.inf], lowest[:-1]])  # these are the new incumbents
    place = np.maximum.accumulate(np.where(first, np.arange(len(told)), -1))
    return np.where(place >= 0, value[place], np.inf)


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1 along the last axis, smallest value first, ties sharing their mean rank."""
    mine, others = values[..., :, None], values[..., None, :]
    return 0.5 + (others < mine).sum(axis=-1) + 0.5 * (others == mine).sum(axis=-1)


def mean_ranks(tasks: list[list[np.ndarray]], draws: np.random.Generator) -> np.ndarray:
    """Return each tuner's mean rank over the tasks, and the ends of its 95 % bootstrap interval.

    Tuners are ranked on each task by their median over seeds. A resample draws tasks, and seeds within
    each task, with replacement; tuners with equally many seeds get the same draw.

    Args:
        tasks: for each task and tuner the final values, one a seed.
        draws: the bootstrap's generator.

    Returns:
        An array of shape (3, tuners): mean, low, high.
    """
    mean, means = _resampled(tasks, draws)
    return np.array([mean, *np.percentile(means, [2.5, 97.5], axis=0)])


def lead(
    tasks: list[list[np.ndarray]], first: int, draws: np.random.Generator
) -> tuple[int, float, float, float]:
    """Return who comes next to tuner *first*, how far its mean rank is behind, and the ends of that's interval.

    The interval is of differences in the same resample: tuners are compared on the same tasks.
    """
    mean, means = _resampled(tasks, draws)
    second = min((i for i in range(len(mean)) if i != first), key=lambda i: mean[i])
    low, high = np.percentile(means[:, second] - means[:, first], [2.5, 97.5])
    return second, mean[second] - mean[first], low, high


def _resampled(
    tasks: list[list[np.ndarray]], draws: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean ranks (tuners,), and those of the resamples (resamples, tuners)."""
    medians = np.array([[np.median(own) for own in task] for task in tasks])
    resampled = np.array([ranks(resampled_medians(task, draws)) for task in tasks])
    picked = draws.integers(len(tasks), size=(RESAMPLES, len(tasks)))
    means = resampled[picked, np.arange(RESAMPLES)[:, None]].mean(axis=1)
    return ranks(medians).mean(axis=0), means


def resampled_medians(task: list[np.ndarray], draws: np.random.Generator) -> np.ndarray:
    """Return medians over resampled seeds, of shape (resamples, tuners)."""
    rows = {
        count: draws.integers(count, size=(RESAMPLES, count))
        for count in sorted({len(own) for own in task})
    }
    return np.stack([np.median(own[rows[len(own)]], axis=1) for own in task], axis=-1)
