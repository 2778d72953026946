"""What the adapters accept as data, whatever the framework."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from luthier.errors import StudyError


def pair(data: Any) -> tuple[Any, Any]:
    """Return (train, validation) of whatever the user calls data.

    Raises:
        StudyError: it is no pair, or x and y differ in length.
    """
    if hasattr(data, "train") and hasattr(data, "validation"):
        data = (data.train, data.validation)
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise StudyError(
            "data must be ((x, y), (x_validation, y_validation)) or have .train and .validation, "
            f"got {type(data).__name__}"
            + (f" of {len(data)} parts." if isinstance(data, tuple | list) else ".")
        )
    for name, part in zip(("train", "validation"), data, strict=True):
        if isinstance(part, tuple | list) and (len(part) != 2 or len(part[0]) != len(part[1])):
            sizes = [len(p) for p in part]
            raise StudyError(f"The {name} part of data must be (x, y) of one length, got {sizes}.")
    return data[0], data[1]


def in_memory(data: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return ((x, y), (x_val, y_val)) of data that is all in memory.

    Raises:
        StudyError: another form.
    """
    try:
        pairs = (data.train, data.validation) if hasattr(data, "validation") else data
        (x, y), (x_val, y_val) = pairs
    except (TypeError, ValueError) as error:
        raise StudyError(
            "data must be a luthier.datasets.Dataset or ((x, y), (x_val, y_val)), arrays with the "
            f"examples along the first axis; got {type(data).__name__}."
        ) from error
    return (x, y), (x_val, y_val)


def one_pair(data: Any) -> tuple[Any, Any]:
    """Return (x, y).

    Raises:
        StudyError: it is no pair.
    """
    if isinstance(data, tuple | list) and len(data) == 2:
        return data[0], data[1]
    raise StudyError(
        "data must be all the examples, (x, y), without a validation part; got "
        f"{type(data).__name__}."
    )


def joined(train: Any, validation: Any) -> tuple[Any, Any]:
    """Return (x, y) of all examples, those of the validation part last.

    Raises:
        StudyError: a part is not in memory, or their shapes differ.
    """
    if not all(isinstance(part, tuple | list) for part in (train, validation)):
        kinds = " and ".join(type(part).__name__ for part in (train, validation))
        raise StudyError(
            f"Training and validation data are {kinds}, which cannot be joined and shuffled together "
            "here: join them where you make them, and pass that as data=."
        )
    try:
        x, y = (
            np.concatenate(list(map(np.asarray, part)))
            for part in zip(train, validation, strict=True)
        )
    except ValueError as error:
        raise StudyError(
            f"Training and validation data cannot be joined: {error}. Pass all data as data=(x, y)."
        ) from error
    return x, y


def check_lengths(name: str, inputs: Any, targets: Any) -> None:
    """Refuse inputs and targets that do not belong together.

    Raises:
        StudyError: no examples, or as many inputs as targets they are not.
    """
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets) or len(inputs) == 0:
        raise StudyError(
            f"The {name} data have inputs of shape {tuple(inputs.shape)} and targets of shape "
            f"{tuple(targets.shape)}: expected as many of both, along the first axis, and not none."
        )


def length(train: Any) -> int | None:
    """Return how many training examples there are, None where only reading tells."""
    return len(train[0]) if isinstance(train, tuple | list) else None


def order_of(examples: int, seed: int) -> np.ndarray:
    """Return the order of the training examples in the epoch with this seed."""
    return np.random.Generator(np.random.Philox(seed)).permutation(examples)


def even_size(examples: int, most: int) -> int:
    """Return a batch size of *most* at most that leaves few examples over, mostly none."""
    return math.ceil(examples / math.ceil(examples / most))


def checked_size(size: Any) -> int:
    """Return a batch size.

    Raises:
        StudyError: no whole number above 0.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise StudyError(f"batch_size must be a whole number of examples above 0, got {size!r}.")
    return int(size)
