"""Sweeps of a learning-rate range test in Keras 3; afterwards all is as it was, bit for bit."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import keras
import numpy as np

from luthier.errors import StudyError
from luthier.train.data import checked_size, length, mapped
from luthier.train.keras import make_variables
from luthier.train.keras_data import checked
from luthier.train.keras_optimizers import rated
from luthier.train.random_state import same_random_state
from luthier.train.range_sweep import batches, endless, is_arrays, sweep, training_part


def sweeps(
    model: keras.Model, data: Any, rates: np.ndarray, *, batch_size: int, count: int, seed: int
) -> np.ndarray:
    """Return the losses of *count* sweeps, shape (count, rates); arguments as for the door's."""
    if not getattr(model, "compiled", False):
        raise StudyError(
            "The model is not compiled: call model.compile(optimizer, loss) first. The range test "
            "trains with that optimizer, at other rates."
        )
    train = training_part(data)
    if is_arrays(train):
        train = checked((train, train))[0]
    found: list[np.ndarray] = []
    with _random_state():
        if not model.built:
            make_variables(model, train if is_arrays(train) else endless(train))
        if not cast(Any, model.optimizer).built:
            cast(Any, model.optimizer).build(model.trainable_variables)
    if len(rated(model.optimizer)) > 1:
        raise StudyError(
            "The model is compiled with several optimizers, each with a rate of its own (MultiOptimizer): "
            "a range test moves one. Compile it with one of them for the test."
        )
    with _random_state(), _own_rate(model) as rate_variable:
        for index in range(count):
            with _as_it_was(model):
                found.append(_one(model, rate_variable, train, rates, batch_size, seed, index))
    return np.stack(found)


def _one(
    model: keras.Model,
    rate_variable: Any,
    data: Any,
    rates: np.ndarray,
    batch_size: int,
    seed: int,
    index: int,
) -> np.ndarray:
    fed = _batches(data, checked_size(batch_size), seed, index)

    def train(rate: float) -> float:
        rate_variable.assign(rate)
        logs: Any = model.train_on_batch(*next(fed), return_dict=True)
        return float(logs["loss"])

    return sweep(train, rates)


def _batches(data: Any, size: int, seed: int, index: int) -> Iterator[tuple[Any, ...]]:
    if is_arrays(data):
        for rows in batches(cast(int, length(data)), size, seed, index):
            yield tuple(mapped(lambda array, rows=rows: array[rows], part) for part in data)
    else:
        for batch in endless(data):
            yield tuple(batch)[:3]


@contextmanager
def _own_rate(model: keras.Model) -> Generator[Any]:
    """Let the rate be a plain variable, even where the optimizer follows a schedule."""
    [optimizer] = rated(model.optimizer)
    before = optimizer._learning_rate
    if isinstance(before, keras.Variable):
        yield before
        return
    own = keras.Variable(1e-3, dtype="float32", trainable=False, name="range_test_rate")
    optimizer._track_variable(own)  # JAX passes the tracked ones into its compiled step
    optimizer._learning_rate = own  # only now: where this tracks by itself, it does not twice
    model.train_function = None  # one that was compiled earlier has the schedule in it
    try:
        yield own
    finally:
        optimizer._learning_rate = before
        optimizer._untrack_variable(own)
        model.train_function = None


@contextmanager
def _as_it_was(model: keras.Model) -> Generator[None]:
    """Put every variable back at the end: weights, seeds, metrics, the optimizer's."""
    variables = {id(v): v for v in _variables(model)}.values()
    values = [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _variables(model: keras.Model) -> Iterator[Any]:
    yield from model.variables
    yield from cast(Any, model.optimizer).variables
    for metric in model.metrics:
        yield from metric.variables


def _random_state() -> AbstractContextManager[None]:
    if keras.backend.backend() == "torch":
        from luthier.train.torch_state import keeping_random_state

        return keeping_random_state()
    return same_random_state()
