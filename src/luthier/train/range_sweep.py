"""One sweep of a learning-rate range test: a batch at each rate, until the loss runs away.

The frameworks' edges give ``sweep`` a function that trains one batch; what the losses say is read in
``luthier.craft.range_finder``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from luthier.errors import StudyError
from luthier.study.chance import derive

_WEIGHT = 0.8  # of the running average that decides when to stop: about five batches
_FIRST = 10  # batches that say where the loss begins


def sweep(train: Callable[[float], float], rates: np.ndarray) -> np.ndarray:
    """Return the loss of each batch, shape (rates,), NaN after the sweep stopped.

    It stops when a loss is no finite number, or when the running average has climbed twice as far above
    where the loss began as it ever was below (and by half of it at least).

    Args:
        train: trains one batch at a rate, and returns its loss before the update.
        rates: shape (rates,).
    """
    losses = np.full(len(rates), np.nan)
    first, running, lowest = 0.0, 0.0, math.inf
    for t, rate in enumerate(rates):
        losses[t] = loss = train(float(rate))
        if not math.isfinite(loss):
            break
        running = _WEIGHT * running + (1.0 - _WEIGHT) * loss
        average = running / (1.0 - _WEIGHT ** (t + 1))
        if t < _FIRST:
            first += (loss - first) / (t + 1)
            continue
        lowest = min(lowest, average)
        if average > first + 2.0 * max(first - lowest, 0.25 * abs(first)):
            break
    return losses


def batches(examples: int, size: int, seed: int, index: int) -> Iterator[np.ndarray]:
    """Yield the rows of one batch after the other, without end: a new permutation each epoch.

    Args:
        examples: how many there are.
        size: rows a batch.
        seed: of the range test.
        index: of the sweep.

    Raises:
        StudyError: there are fewer examples than that.
    """
    if size > examples:
        raise StudyError(
            f"batch_size={size} is more than the {examples} examples that there are: give the one that you "
            f"will train with, at most {examples}."
        )
    epoch = 0
    while True:
        generator = np.random.Generator(np.random.Philox(derive(seed, "range", index, epoch)))
        order = generator.permutation(examples)
        yield from order[: examples // size * size].reshape(-1, size)
        epoch += 1


def training_part(data: Any) -> Any:
    """Return what to train on: of a data set, of a pair with validation data, or *data* itself."""
    if hasattr(data, "train") and hasattr(data, "validation"):
        return data.train
    if not isinstance(data, tuple | list) or len(data) != 2 or is_array_like(data[1]):
        return data  # (x, y), where x may be several inputs
    first = data[0]
    return first if isinstance(first, tuple | list) else data


def is_array_like(part: Any) -> bool:
    """Return whether *part* is an array, a table, or arrays by name."""
    return hasattr(part, "shape") or isinstance(part, Mapping)


def is_pair(part: Any) -> bool:
    """Return True for (x, y), False for a list of batches or a loader."""
    return (
        isinstance(part, tuple | list)
        and len(part) == 2
        and not any(isinstance(each, tuple) for each in part)
    )


def is_arrays(part: Any) -> bool:
    """Return True for (x, y) and (x, y, weights), each of which may be several arrays; False for batches."""
    if not isinstance(part, tuple | list) or len(part) not in (2, 3):
        return False
    return is_pair(part) or any(map(is_array_like, part))


def endless(loader: Any) -> Iterator[Any]:
    """Yield the batches of a loader, from its beginning again when it ends.

    Raises:
        StudyError: it has none; it gives examples, not batches.
    """
    # A PyDataset has no end of its own, but a length.
    sized = hasattr(loader, "__getitem__") and hasattr(loader, "__len__")
    torch = sys.modules.get("torch")
    if sized and torch is not None and isinstance(loader, torch.utils.data.Dataset):
        raise StudyError(
            f"data is a {type(loader).__name__}, which gives one example at a time: give batches of it, "
            "torch.utils.data.DataLoader(data, batch_size=..., shuffle=True)."
        )
    while True:
        found = False
        for batch in (loader[i] for i in range(len(loader))) if sized else loader:
            found = True
            yield batch
        if not found:
            raise StudyError(
                f"data is a {type(loader).__name__} without a batch: give (x, y), or something that "
                "can be iterated over more than once."
            )
