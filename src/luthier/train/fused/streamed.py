"""Epochs over data that stay on the host: they come to the device in chunks of whole batches.

The order of the data is that of an epoch in memory, and so is every step; only how many of them a
compiled program takes in one go is another number. The next chunk is read while the device computes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from luthier.train.fused import programs
from luthier.train.fused.loaded import Arrays, Data, converted, room
from luthier.train.fused.numbers import Lifted
from luthier.train.fused.program import Epoch, Numbers, Steps, described, through
from luthier.train.on_disk import rows_of

CHUNK_BYTES = 64 * 2**20  # of data on the device at a time, and as many again on the way


class Stream:
    """Trains a trial an epoch at a time.

    Args:
        steps: traced for the shapes of *data*.
        data: on the host.
    """

    def __init__(self, steps: Steps, data: Data) -> None:
        self._steps, self._data = steps, data
        self._keys: dict[tuple[int, int], str] = {}  # of programs, by which step and how many rows

    def __call__(self, weights: Any, meters: Any, numbers: Numbers, order: np.ndarray) -> Epoch:
        """Train an epoch on the rows of *order*, then measure it; as ``program.epoch`` does."""
        steps, data = self._steps, self._data
        rows = np.arange(len(data.validation[0]))
        passes = (
            (data.train, order, steps.batch_size, (0, 1)),
            (data.validation, rows, steps.test_size, (2, 3)),
        )
        metrics: list[list[Any]] = []
        state: Any = (weights, meters)
        for arrays, rows, size, parts in passes:
            state, found = self._passed(parts, (state[0], meters), numbers, arrays, rows, size)
            metrics.append(found)
        return Epoch(*state, *metrics)

    def _passed(
        self,
        parts: tuple[int, int],
        state: Any,
        numbers: Numbers,
        arrays: Arrays,
        rows: np.ndarray,
        size: int,
    ) -> tuple[Any, list[Any]]:
        """Take *state* through all rows, by the step for whole batches and the one for the rest."""
        metrics: list[Any] = []
        for whole, some in _chunks(rows, size, batches_at_once(arrays, size)):
            part = parts[0 if whole else 1]
            step = self._steps.parts[part]
            assert step is not None
            chunk = tuple(converted(rows_of(array, some), self._data.floats) for array in arrays)
            jax.block_until_ready(metrics[-1:])  # no more than two chunks are on the device
            arguments = (state, numbers[part], chunk)
            program = self._program(part, step, size if whole else len(some), arguments)
            state, found = program(*arguments)
            metrics.append(found)
        return state, metrics

    def _program(self, part: int, step: Lifted, size: int, arguments: Sequence[Any]) -> Any:
        which = (part, len(arguments[-1][0]))
        if which not in self._keys:
            text = f"chunk {size} {described([step], arguments)}"
            self._keys[which] = hashlib.sha256(text.encode()).hexdigest()
        return programs.program(self._keys[which], partial(through, step, size), arguments)


def batches_at_once(arrays: Arrays, size: int) -> int:
    """Return how many batches of *size* rows make a chunk; one may be more than ``CHUNK_BYTES``."""
    row = sum(array.nbytes // len(array) for array in arrays)
    return max(1, int(min(CHUNK_BYTES, room() / 2) // max(1, row * size)))


def _chunks(rows: np.ndarray, size: int, most: int) -> Iterator[tuple[bool, np.ndarray]]:
    """Yield rows a chunk, and whether they are whole batches: those left over come alone, at the end.

    Chunks are equal if they can be, so that one program serves all.
    """
    batches = len(rows) // size
    if batches:
        least = -(-batches // most)
        equal = (n for n in range(least, 2 * least) if batches % n == 0)
        each = -(-batches // next(equal, least)) * size
        for begin in range(0, batches * size, each):
            yield True, rows[begin : min(begin + each, batches * size)]
    if len(rows) > batches * size:
        yield False, rows[batches * size :]
