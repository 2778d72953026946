"""Epochs by Keras's ``fit`` on TensorFlow, without what it would do anew for each of them.

We call ``fit`` once an epoch. Given arrays it copies them and builds its input pipeline every time; seeding
TensorFlow empties its cache of kernels; and it comes back to Python after every batch. Together that
takes longer than a small net's training.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import keras
import numpy as np

from luthier.run.seeding import seed_keras
from luthier.train.data import order_of
from luthier.train.fused.reasons import (
    TOLD_OF_DATA,
    looks_at_batches,
    own_methods,
    run_code_of_the_user,
)
from luthier.train.on_disk import in_a_file

_STEPS = 8  # batches between two returns to Python; more gain nothing

Arrays = Sequence[Any]


def pipelined(model: Any, train: Any, validation: Any) -> bool:
    """Return whether ``Pipeline`` can train *model* on these data: all in memory."""
    if keras.backend.backend() != "tensorflow" or not all(map(_arrays, (train, validation))):
        return False
    strategy = keras.distribution.distribution() or getattr(model, "_distribute_strategy", None)
    return strategy is None and not any(own_methods(model, TOLD_OF_DATA))


class Pipeline:
    """Trains a model an epoch at a time, on arrays that become tensors once.

    Args:
        model: built and compiled.
        train: (x, y) or (x, y, weights).
        validation: the same.
        batch_size: examples a step, and
        test_size: in validation.
        callbacks: the user's own.
    """

    def __init__(
        self,
        model: keras.Model,
        train: Arrays,
        validation: Arrays,
        batch_size: int,
        test_size: int,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        import tensorflow as tf

        self._model = model
        self._examples = len(train[0])
        self._draws = _draws(model, callbacks)
        with tf.device("CPU:0"):  # where input pipelines run, whatever trains
            first: Any = np.arange(self._examples)
            self._order: Any = tf.Variable(first, trainable=False)
            self._train = _batches(train, batch_size, self._order)
            self._validation = _batches(validation, test_size)

    def __call__(self, epoch: int, seed: int, listeners: keras.callbacks.CallbackList) -> None:
        """Train an epoch in the order of *seed*, and tell *listeners*."""
        seed_keras(keras, seed, tensorflow=self._draws)
        self._order.assign(order_of(self._examples, seed))
        self._model.fit(
            self._train,
            shuffle=False,  # the pipeline has its own order
            validation_data=self._validation,
            initial_epoch=epoch,
            epochs=epoch + 1,
            callbacks=listeners,
            verbose=cast(Any, 0),
        )


@contextmanager
def several_at_once(model: Any, callbacks: Sequence[keras.callbacks.Callback]) -> Generator[None]:
    """Let *model* take several batches before it comes back to Python, where nobody looks at each."""
    own_loop = next(own_methods(model), None) or next(looks_at_batches(callbacks), None)
    most = getattr(keras.config, "max_steps_per_epoch", lambda: None)()
    counted = model.steps_per_execution != 1 or most is not None
    if own_loop or counted or model.run_eagerly:
        yield
        return
    _set_steps(model, _STEPS)
    try:
        yield
    finally:
        _set_steps(model, 1)


def _set_steps(model: Any, steps: int) -> None:
    model.steps_per_execution = steps
    # They were made for another number.
    model.train_function = model.test_function = model.predict_function = None


def _arrays(part: Any) -> bool:
    if not isinstance(part, tuple | list):
        return False
    arrays = cast(Sequence[Any], part)
    return len(arrays) in (2, 3) and all(
        isinstance(array, np.ndarray) and array.dtype.kind in "biuf" and not in_a_file(array)
        for array in arrays
    )


def _batches(arrays: Arrays, size: int, order: Any = None) -> Any:
    """Return a data set of *arrays* in batches, in the *order* of a variable."""
    import tensorflow as tf

    tensors = tuple(map(_tensor, arrays))
    count = len(arrays[0])
    rows = None if count % size else size  # of every batch, where they are all alike

    def batch(number: Any) -> Any:
        begin = number * size
        end = tf.minimum(begin + size, count)
        if order is None:
            found = [tensor[begin:end] for tensor in tensors]
        else:
            found = list(map(partial(tf.gather, indices=order[begin:end]), tensors))
        for part in found:
            part.set_shape((rows, *part.shape[1:]))
        return tuple(found)

    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # nothing to optimise
    found: Any = tf.data.Dataset.range(-(-count // size))
    found = found.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return found.with_options(options)


def _tensor(array: np.ndarray) -> Any:
    """Return *array* as Keras would give it to the model."""
    import tensorflow as tf

    found: Any = tf.convert_to_tensor(array)
    return tf.cast(found, keras.config.floatx()) if array.dtype.kind == "f" else found


def _draws(model: Any, callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    """Return whether anything may draw from TensorFlow's generator as it runs.

    What is traced has seeds of its own, which seeding the generator does not touch; layers of Keras that
    draw have their state in the model's variables.
    """
    import tensorflow as tf

    eager = model.run_eagerly or tf.config.functions_run_eagerly()
    return eager or run_code_of_the_user(callbacks)
