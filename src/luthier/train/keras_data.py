"""The data that a Keras model trains on: checked, put in an epoch's order, and how much at a time."""

from __future__ import annotations

import math
from typing import Any, cast

import keras
import numpy as np

from luthier.errors import StudyError
from luthier.train.data import arrays_of, even_size, length, mapped, order_of, pair
from luthier.train.on_disk import in_a_file, rows_of

_TESTED_AT_ONCE = 256  # examples: larger batches of them change nothing but the time
_BATCHES_AT_ONCE = 16  # of training; without gradients a batch needs less memory
_BYTES_AT_ONCE = 16 * 2**20
_COPIED = 2**30  # bytes of training data at most of which an epoch makes a shuffled copy
_BY_POSITION = ("numpy", "torch", "jax", "jaxlib")  # whose arrays take rows by their numbers


def checked(data: Any) -> tuple[Any, Any]:
    """Return (train, validation), whose arrays take rows by their numbers.

    Tables, series and tensors become numpy's arrays, once.

    Raises:
        StudyError: it is no pair; a part is empty, or neither arrays nor what ends.
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
        if not length(part):
            raise StudyError(f"The {name} data are empty: expected at least one example.")
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

    Every way to train measures in these batches: a metric may hang on them.

    Args:
        batch_size: examples of a step of training, which there is room for.
        part: arrays of validation, or their shapes.
    """
    row = sum(_row_bytes(array) for each in part for array in arrays_of(each))
    room = min(_TESTED_AT_ONCE, _BATCHES_AT_ONCE * batch_size, _BYTES_AT_ONCE // max(1, row))
    return even_size(cast(int, length(part)), max(batch_size, room))


def _row_bytes(array: Any) -> int:
    return math.prod(array.shape[1:]) * getattr(array.dtype, "itemsize", 8)


# -- as ``fit`` takes them -------------------------------------------------------------------------


class Batches(keras.utils.PyDataset):
    """Batches of arrays that are read one by one, as ``fit`` wants them.

    Args:
        part: (x, y) or (x, y, weights), each an array of numpy's or a structure of them.
        size: examples in a batch.
        order: rows of an epoch; by default as they lie there.
    """

    def __init__(self, part: Any, size: int, order: np.ndarray | None = None) -> None:
        super().__init__()
        self._part, self._size = part, size
        self._order = np.arange(length(part) or 0) if order is None else order

    @property
    def num_batches(self) -> int:
        """Return how many there are; the last may be smaller."""
        return -(-len(self._order) // self._size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return a batch."""
        rows = self._order[index * self._size : (index + 1) * self._size]
        return tuple(mapped(lambda array: _read(array, rows), each) for each in self._part)


def _read(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows, floats in the type in which Keras would give arrays to a model."""
    found = rows_of(array, rows)
    return found.astype(keras.config.floatx(), copy=False) if found.dtype.kind == "f" else found


def read_one_by_one(part: Any) -> bool:
    """Return whether batches of *part* are to be read one by one.

    ``fit`` is given a shuffled copy of arrays else, and Keras makes another one of floats that are not of
    its type: too much for what lies in a file, or fills a large part of the memory.
    """
    if not isinstance(part, tuple | list):
        return False
    arrays = [array for each in cast(Any, part) for array in arrays_of(each)]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return False
    return any(map(in_a_file, arrays)) or sum(array.nbytes for array in arrays) > _COPIED


class Given:
    """What ``fit`` is given of the data, epoch by epoch.

    Args:
        train: as checked.
        validation: the same.
        batch_size: examples a step.
        as_arrays: even where batches would be read one by one.
    """

    def __init__(
        self, train: Any, validation: Any, batch_size: int, *, as_arrays: bool = False
    ) -> None:
        self._train, self._size = train, batch_size
        self._one_by_one = not as_arrays and read_one_by_one(train)
        self._always: dict[str, Any] = {}
        if isinstance(train, tuple | list):
            self._always["shuffle"] = False  # the order is ours
            if not self._one_by_one:
                self._always["batch_size"] = batch_size
        if isinstance(validation, tuple | list):
            at_once = validated_at_once(batch_size, validation)
            if not as_arrays and read_one_by_one(validation):
                validation = Batches(validation, at_once)
            else:
                self._always["validation_batch_size"] = at_once
                validation = tuple(cast(Any, validation))
        self._always["validation_data"] = validation

    def __call__(self, seed: int) -> dict[str, Any]:
        """Return the arguments of ``fit`` for the epoch with this seed."""
        if self._one_by_one:
            order = order_of(cast(int, length(self._train)), seed)
            return {**self._always, "x": Batches(self._train, self._size, order)}
        return {**self._always, **in_order(self._train, seed)}


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
