"""The data that a Keras model trains on: checked, put in an epoch's order, and how much at a time."""

from __future__ import annotations

import math
from typing import Any, cast

import keras
import numpy as np

from luthier.errors import StudyError
from luthier.train.data import arrays_of, length, mapped, order_of, pair

_TESTED_AT_ONCE = 256  # examples: larger batches of them change nothing but the time
_BATCHES_AT_ONCE = 16  # of training; without gradients a batch needs less memory
_BYTES_AT_ONCE = 16 * 2**20
_BY_POSITION = ("numpy", "torch", "jax", "jaxlib")  # whose arrays take rows by their numbers


def checked(data: Any) -> tuple[Any, Any]:
    """Return (train, validation), whose arrays take rows by their numbers.

    Tables, series and tensors become numpy's arrays, once.

    Raises:
        StudyError: it is no pair; a part is neither arrays nor what ends.
    """
    train, validation = pair(data, weighted=True)
    return _checked("training", train), _checked("validation", validation)


def as_array(part: Any, name: str = "training") -> Any:
    """Return *part*, an array or what becomes one, so that it takes rows by their numbers.

    Args:
        part: a table's rows have labels, by which it would look, and tensors take a number at a time.
        name: of the part of the data, for the error.

    Raises:
        StudyError: it is a list, or nothing that becomes an array.
    """
    if type(part).__module__.partition(".")[0] in _BY_POSITION or isinstance(part, np.ndarray):
        return part
    if hasattr(part, "tocsr"):  # a sparse matrix of scipy's
        return part.tocsr()
    if isinstance(part, list | tuple) or not hasattr(part, "__array__"):
        raise StudyError(
            f"The {name} data hold a {type(part).__name__} where an array is expected, examples along "
            "the first axis: give numpy.asarray(...) of it."
        )
    return np.asarray(part)


def _checked(name: str, part: Any) -> Any:
    if isinstance(part, tuple | list):
        return tuple(mapped(lambda array: as_array(array, name), each) for each in part)
    if _endless(part):
        raise StudyError(
            f"The {name} data never end, and an epoch is one pass over them: leave repeat() out, or say "
            "how many batches an epoch has, such as by take(n)."
        )
    return part


def _endless(part: Any) -> bool:
    if isinstance(part, keras.utils.PyDataset):
        try:
            return cast(Any, part.num_batches) is None
        except NotImplementedError:  # Keras says so in its own words
            return False
    if type(part).__module__.partition(".")[0] != "tensorflow":
        return False
    cardinality: Any = getattr(part, "cardinality", None)
    found: Any = cardinality() if callable(cardinality) else cardinality
    return found is not None and int(found) == -1  # tf.data.INFINITE_CARDINALITY


# -- how much at a time ----------------------------------------------------------------------------


def steps_of(train: Any, batch_size: int) -> int | None:
    """Return the batches of an epoch, None where only training tells."""
    if isinstance(train, tuple | list):
        return -(-cast(int, length(train)) // batch_size)
    try:
        return len(train) or None
    except TypeError:
        return None


def validated_at_once(batch_size: int, part: Any) -> int:
    """Return how many examples are measured at a time: many where memory has room, one by one is slow.

    Args:
        batch_size: examples of a step of training, which there is room for.
        part: arrays of validation, or their shapes.
    """
    row = sum(_row_bytes(array) for each in part for array in arrays_of(each))
    room = min(_TESTED_AT_ONCE, _BATCHES_AT_ONCE * batch_size, _BYTES_AT_ONCE // max(1, row))
    return max(batch_size, room)


def _row_bytes(array: Any) -> int:
    return math.prod(array.shape[1:]) * getattr(array.dtype, "itemsize", 8)


# -- as ``fit`` takes them -------------------------------------------------------------------------


def arguments(train: Any, validation: Any, batch_size: int) -> dict[str, Any]:
    """Return what ``fit`` is told of the data in every epoch."""
    given: dict[str, Any] = {}
    if isinstance(train, tuple | list):
        given = {"batch_size": batch_size, "shuffle": False}
    if isinstance(validation, tuple | list):
        given["validation_batch_size"] = validated_at_once(batch_size, validation)
        validation = tuple(cast(Any, validation))
    return {**given, "validation_data": validation}


def in_order(train: Any, seed: int) -> dict[str, Any]:
    """Return the training data in the order of one epoch.

    Keras would shuffle too, but the order would depend on what was drawn before: its first ``fit``
    draws one permutation more than the others.
    """
    if not isinstance(train, tuple | list):
        return {"x": train}
    order = order_of(cast(int, length(train)), seed)
    parts = (mapped(lambda array: array[order], part) for part in train)
    return dict(zip(("x", "y", "sample_weight"), parts, strict=False))
