"""Whole epochs of a user's ``step`` and ``evaluate`` in JAX, in programs that trials share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from luthier.train.fused.loaded import Data
from luthier.train.fused.numbers import calls_python, lift
from luthier.train.fused.program import Batch, Epoch, Steps, key
from luthier.train.fused.side_by_side import run_alone
from luthier.train.fused.streamed import Stream
from luthier.train.fused.turns import Turn

Orders = Callable[[int], np.ndarray]


class Epochs:
    """Trains the tree of one trial.

    Args:
        state: what holds the tree, as ``.state``, between epochs.
        steps: traced.
        order: the rows of an epoch, flat, from its seed.
        data: of training and of validation.

    Attributes:
        key: names the program; empty when the data are streamed.
        stream: runs epochs over data that stay on the host; None when they are on the device.
        metrics: what the last epoch measured, stacked: of training, and of validation.
    """

    def __init__(self, state: Any, steps: Steps, order: Orders, data: Data) -> None:
        self._state, self._order = state, order
        self._numbers = jax.device_put(steps.numbers)
        self.metrics: tuple[list[Any], list[Any]] = [], []
        self.steps = steps
        self.stream = Stream(steps, data) if data.on_host else None
        self._data = () if data.on_host else (data.train, data.validation)
        self.key = "" if data.on_host else key(steps, self.arguments(0))

    def __call__(self, epoch: int, seed: int, listeners: None) -> None:
        """Train an epoch in the order of *seed*."""
        run_alone(self, Turn(self, epoch, seed, listeners))

    def before(self, turn: Turn) -> None:
        """Nothing is to be done."""

    def arguments(self, seed: int) -> tuple[Any, ...]:
        """Return what the program is called with: weights, meters, numbers, order, and data if there."""
        return (self._state.state, [], self._numbers, self._order(seed), *self._data)

    def after(self, done: Epoch, turn: Turn) -> None:
        """Take over what an epoch has made."""
        self._state.state = jax.tree.map(jnp.asarray, done.weights)
        self.metrics = done.trained, done.tested


def traced(
    step: Callable[[Any, Any], Any],
    evaluate: Callable[[Any, Any], Any],
    state: Any,
    data: tuple[Batch, Batch],
    sizes: tuple[int, int],
) -> Steps | None:
    """Trace a user's functions; None when they call Python while they run.

    Args:
        step: ``(state, batch) -> (state, metrics)``.
        evaluate: ``(state, batch) -> metrics``.
        state: a tree of arrays.
        data: arrays of training and of validation, or their shapes.
        sizes: examples in a batch of training, which leaves none over, and in one of validation.
    """
    train, validation = data
    size, test_size = sizes

    def batch(arrays: Batch, examples: int) -> Any:
        return tuple(jax.ShapeDtypeStruct((examples, *a.shape[1:]), a.dtype) for a in arrays)

    def trains(both: Any, rows: Any) -> Any:
        state, metrics = step(both[0], rows)
        return (state, both[1]), metrics

    def tests(both: Any, rows: Any) -> Any:
        return both, evaluate(both[0], rows)

    rest = len(validation[0]) % test_size
    steps = Steps(
        lift(trains, (state, []), batch(train, size)),
        None,
        lift(tests, (state, []), batch(validation, test_size)),
        lift(tests, (state, []), batch(validation, rest)) if rest else None,
        size,
        test_size,
    )
    called = any(part is not None and calls_python(part.jaxpr) for part in steps.parts)
    return None if called else steps
