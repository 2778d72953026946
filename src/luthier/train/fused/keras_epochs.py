"""Whole epochs of a Keras model as compiled programs, with what ``fit`` would do around them.

The model stays the trial's own: its variables go into the program before an epoch and come back after
it, so checkpoints, callbacks between epochs and ``result.model()`` see what they would after ``fit``.
What the model computes is Keras's own ``train_step`` and ``test_step``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import keras
import numpy as np

from luthier.run.seeding import seed_keras
from luthier.train.data import order_of
from luthier.train.fused.loaded import on_device, placed
from luthier.train.fused.numbers import Lifted, calls_python, lift
from luthier.train.fused.program import Epoch, Steps, key
from luthier.train.fused.side_by_side import run_alone
from luthier.train.fused.streamed import Stream
from luthier.train.fused.turns import Turn
from luthier.train.keras_data import validated_at_once
from luthier.train.keras_state import make_meters

Arrays = tuple[Any, ...]


def compiled_epochs(
    model: keras.Model,
    train: Any,
    validation: Any,
    batch_size: int,
    *,
    looks_again: bool = False,
) -> Epochs | str:
    """Return what trains *model* in compiled epochs, or why that cannot be.

    Args:
        model: built and compiled.
        train: (inputs, targets).
        validation: the same.
        batch_size: examples a step.
        looks_again: look before every epoch whether the data were changed in place, 3 ms for 30 MB.
    """
    try:
        epochs = Epochs(model, train, validation, batch_size, looks_again=looks_again)
    except Exception as error:
        return f"the training step could not be traced ({type(error).__name__}: {error})"
    if any(part is not None and calls_python(part.jaxpr) for part in epochs.steps.parts):
        return "the model calls Python in each batch"
    return epochs


class Epochs:
    """Trains one model an epoch at a time.

    Attributes:
        steps: the model's, traced.
        key: names the program that they need; models with the same one can train side by side. Empty
            when the data are streamed: those train alone.
        stream: runs epochs over data that stay on the host; None when they are on the device.
    """

    def __init__(
        self,
        model: keras.Model,
        train: Arrays,
        validation: Arrays,
        batch_size: int,
        *,
        looks_again: bool = False,
    ) -> None:
        self._model: Any = model
        make_meters(model, train)
        data = placed(train, validation, keras.config.floatx())
        self._given = (train, validation) if looks_again and not data.on_host else ()
        self._floats = data.floats
        self._examples = len(train[0])
        self.steps = traced(model, *data.shapes, batch_size)
        self._numbers = jax.device_put(self.steps.numbers)
        self.stream = Stream(self.steps, data) if data.on_host else None
        self._data = () if data.on_host else (data.train, data.validation)
        self.key = "" if data.on_host else key(self.steps, self.arguments(0))
        # Whether the metrics that come last are those of what is left over, which are not stacked.
        left = (self.steps.rest, self.steps.test_rest)
        self._single = tuple(part is not None and self.stream is None for part in left)

    def __call__(self, epoch: int, seed: int, listeners: keras.callbacks.CallbackList) -> None:
        """Train an epoch in the order of *seed*, and tell *listeners* what ``fit`` would."""
        run_alone(self, Turn(self, epoch, seed, listeners))

    def before(self, turn: Turn) -> None:
        """Do what ``fit`` does at the beginning of an epoch."""
        seed_keras(keras, turn.seed)  # what callbacks draw hangs on the epoch alone
        self._model.stop_training = False
        self._model.reset_metrics()
        turn.listeners.on_epoch_begin(turn.epoch)

    def arguments(self, seed: int) -> tuple[Any, ...]:
        """Return what the program is called with: weights, meters, numbers, order, and data if there."""
        order = order_of(self._examples, seed).astype(np.int32)
        if self._given:
            self._data = tuple(on_device(part, self._floats) for part in self._given)
        return (weights_of(self._model), meters_of(self._model), self._numbers, order, *self._data)

    def after(self, done: Epoch, turn: Turn) -> None:
        """Take over what an epoch has made, and do what ``fit`` does at its end."""
        put_back(self._model, done.weights, done.meters)
        trained, tested = logs(done, self._single)
        # Other trials' callbacks may have drawn meanwhile; and not what was drawn at the beginning.
        seed_keras(keras, turn.seed ^ 1)
        turn.listeners.on_test_begin()
        turn.listeners.on_test_end(tested)
        named = {f"val_{name}": value for name, value in tested.items()}
        turn.listeners.on_epoch_end(turn.epoch, trained | named)


def traced(model: Any, train: Arrays, validation: Arrays, batch_size: int) -> Steps:
    """Trace *model*'s steps for data of these shapes.

    Raises:
        Exception: whatever the model raises when it is traced.
    """
    state = (weights_of(model), meters_of(model))
    size = min(batch_size, len(train[0]))
    test_size = validated_at_once(batch_size, validation)

    def step(kind: Any, data: Arrays, size: int) -> Lifted | None:
        if not size:
            return None
        batch = tuple(jax.ShapeDtypeStruct((size, *part.shape[1:]), part.dtype) for part in data)
        return lift(kind, state, batch)

    trains, tests = partial(_train_step, model), partial(_test_step, model)
    first = step(trains, train, size)
    assert first is not None
    return Steps(
        first,
        step(trains, train, len(train[0]) % size),
        step(tests, validation, test_size),
        step(tests, validation, len(validation[0]) % test_size),
        size,
        test_size,
    )


def _train_step(model: Any, state: Any, batch: Arrays) -> Any:
    (trainable, others, optimizer), meters = state
    metrics, after = model.train_step((trainable, others, optimizer, meters), batch)
    trainable, others, optimizer, meters = map(list, after)
    return ((trainable, others, optimizer), meters), metrics


def _test_step(model: Any, state: Any, batch: Arrays) -> Any:
    (trainable, others, optimizer), meters = state
    metrics, after = model.test_step((trainable, others, meters), batch)
    trainable, others, meters = map(list, after)
    return ((trainable, others, optimizer), meters), metrics


# -- the model's variables -------------------------------------------------------------------------


def weights_of(model: Any) -> Any:
    """Return the values of all variables that an epoch changes and the next one needs."""
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    return tuple([v.value for v in group] for group in groups)


def meters_of(model: Any) -> list[Any]:
    """Return the values of the metrics' variables."""
    return [v.value for v in model.metrics_variables]


def put_back(model: Any, weights: Any, meters: list[Any]) -> None:
    """Give all variables new values."""
    groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
    for group, values in zip(groups, weights, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    for variable, value in zip(model.metrics_variables, meters, strict=True):
        variable.assign(value)


def logs(done: Epoch, single: Sequence[bool]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metrics of training and of validation, as ``fit`` does: each meter's last reading.

    A reading is a number, or an array where a metric has several, such as one a class.

    Args:
        done: the epoch.
        single: whether the readings that come last are of one batch, for each of the two; else stacked.
    """
    last: Any = jax.device_get((done.trained[-1], done.tested[-1]))
    trained, tested = (
        {name: _reading(value if alone else value[-1]) for name, value in found.items()}
        for found, alone in zip(last, single, strict=True)
    )
    return trained, tested


def _reading(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)
