"""What the adapters accept as data, whatever the framework."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from luthier.errors import StudyError

_SHOWN = 8  # sizes in an error


def is_structure(part: Any) -> bool:
    """Return whether *part* is a dictionary, list or tuple of arrays: one for each input or output."""
    if isinstance(part, Mapping):
        return True
    if not isinstance(part, tuple | list):
        return False
    return bool(part) and all(
        hasattr(p, "shape") and hasattr(p, "dtype") and p.ndim for p in cast(Any, part)
    )


def mapped(what: Callable[..., Any], *parts: Any) -> Any:
    """Return *what* of one array, or of each array of a structure; of several parts, of each group."""
    first = parts[0]
    if not is_structure(first):
        return what(*parts)
    if isinstance(first, Mapping):
        return {key: mapped(what, *(part[key] for part in parts)) for key in cast(Any, first)}
    return tuple(mapped(what, *each) for each in zip(*parts, strict=True))


def arrays_of(part: Any) -> list[Any]:
    """Return the arrays of *part*, which may be one or a structure."""
    found: list[Any] = []
    mapped(found.append, part)
    return found


def pair(data: Any, *, weighted: bool = False) -> tuple[Any, Any]:
    """Return (train, validation) of whatever the user calls data.

    Args:
        data: as the user gave it.
        weighted: each part may have a third array, the examples' weights.

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
        if not isinstance(part, tuple | list):
            if _looks_like_x_and_y(*data):
                raise StudyError(
                    "data must be ((x, y), (x_validation, y_validation)), got two arrays: split off what "
                    "trials are judged by, such as data=((x[n:], y[n:]), (x[:n], y[:n]))."
                )
            continue
        sizes = [_examples(array, name) for p in part for array in arrays_of(p)]
        if len(part) not in ((2, 3) if weighted else (2,)) or len(set(sizes)) > 1:
            form = "(x, y) or (x, y, weights)" if weighted else "(x, y)"
            sizes = sizes if len(sizes) <= _SHOWN else [*sizes[:_SHOWN], "..."]
            raise StudyError(f"The {name} part of data must be {form} of one length, got {sizes}.")
    return data[0], data[1]


def _examples(array: Any, name: str) -> int:
    """Return how many examples there are along the first axis; a sparse matrix has no length.

    Raises:
        StudyError: it has no first axis.
    """
    shape = getattr(array, "shape", None)
    try:
        return int(shape[0]) if shape is not None else len(array)
    except (TypeError, IndexError, ValueError) as error:
        what = (
            f"{type(array).__name__} of shape {tuple(shape)}" if shape is not None else repr(array)
        )
        raise StudyError(
            f"The {name} part of data holds {what} where an array is expected, examples along the first "
            "axis; what a model learns to give back, such as an autoencoder's inputs, is y as well: "
            "(x, x)."
        ) from error


def _looks_like_x_and_y(one: Any, other: Any) -> bool:
    arrays = all(hasattr(part, "shape") and hasattr(part, "dtype") for part in (one, other))
    return arrays and len(one) == len(other)


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


def joined(train: Any, validation: Any) -> tuple[Any, ...]:
    """Return (x, y) of all examples, those of the validation part last.

    With their weights, where one of the parts has them; those of the other count 1.

    Raises:
        StudyError: a part is not in memory, or their shapes differ.
    """
    if not all(isinstance(part, tuple | list) for part in (train, validation)):
        kinds = " and ".join(type(part).__name__ for part in (train, validation))
        raise StudyError(
            f"Training and validation data are {kinds}, which cannot be joined and shuffled together "
            "here: join them where you make them, and pass that as data=."
        )
    parts = [tuple(part) for part in (train, validation)]
    most = max(map(len, parts))
    parts = [p if len(p) == most else (*p, np.ones(length(p) or 0, "float32")) for p in parts]
    try:
        return tuple(mapped(_one_after_the_other, *each) for each in zip(*parts, strict=True))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise StudyError(
            f"Training and validation data cannot be joined: {error}. Pass all data as data=(x, y)."
        ) from error


def _one_after_the_other(*arrays: Any) -> np.ndarray:
    return np.concatenate(list(map(np.asarray, arrays)))


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


def weighted(train: Any, class_weight: Mapping[int, float] | None) -> Any:
    """Return arrays (x, y) with each example's weight: that of its class, times its own if it has one.

    Args:
        train: (x, y) or (x, y, weights); y holds a class for each example, as a whole number or by the
            shares of all classes, which sum to 1 (one-hot, or soft labels: the largest one counts).
        class_weight: by class, 1 for those that are not in it; None leaves *train* as it is.

    Raises:
        StudyError: y holds no classes, or a weight is no number from 0.
    """
    if class_weight is None or not isinstance(train, tuple | list):
        return train
    x, targets, *own = cast("Sequence[Any]", train)
    if not isinstance(class_weight, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(
            f"class_weight must be {{class: weight}}, such as {{0: 1.0, 1: 3.0}}, got {class_weight!r}."
        )
    if is_structure(targets):
        raise StudyError(
            "class_weight is for one output; give the examples' weights as (x, y, weights)."
        )
    classes = _classes(np.asarray(targets))
    for label, weight in class_weight.items():
        if not (np.isreal(weight) and 0 <= weight < math.inf):
            raise StudyError(f"class_weight[{label!r}] must be a number from 0, got {weight!r}.")
    names, places = np.unique(classes.astype(np.int64), return_inverse=True)
    weights = np.array([class_weight.get(int(name), 1.0) for name in names], "float32")[places]
    for factors in own:
        weights = weights * np.asarray(factors, "float32").reshape(len(classes))
    return (x, targets, weights)


def _classes(y: np.ndarray) -> np.ndarray:
    """Return the class of each example (n,).

    Raises:
        StudyError: there is not one for each.
    """
    if y.size == len(y):
        classes = y.reshape(len(y))
        if not np.array_equal(classes, classes.astype(np.int64)):
            raise StudyError(
                "class_weight needs classes: the y of the training data has fractions."
            )
        return classes
    if y.ndim == 2 and y.min() >= 0 and np.allclose(y.sum(axis=-1), 1, atol=1e-3):
        return y.argmax(axis=-1)
    raise StudyError(
        "class_weight needs one class for each example, as a whole number or one-hot; the y of the training "
        f"data has shape {y.shape}: give the examples' weights as (x, y, weights)."
    )


def length(train: Any) -> int | None:
    """Return how many training examples there are, None where only reading tells."""
    return _examples(arrays_of(train[0])[0], "train") if isinstance(train, tuple | list) else None


def order_of(examples: int, seed: int) -> np.ndarray:
    """Return the order of the training examples in the epoch with this seed."""
    return np.random.Generator(np.random.Philox(seed)).permutation(examples)


def even_size(examples: int, most: int) -> int:
    """Return a batch size of *most* at most that leaves few examples over, mostly none."""
    return math.ceil(examples / math.ceil(examples / most))


def check_end(epochs: int | None, scheduler: Any) -> None:
    """Refuse a training loop that nothing would end.

    A scheduler of one's own may know how many epochs there are; no name does.

    Raises:
        StudyError: neither *epochs* nor a scheduler that may hold them.
    """
    if epochs is None and isinstance(scheduler, str | None):
        raise StudyError(
            "epochs is missing: expected the most epochs one trial trains, as epochs=10."
        )


def checked_size(size: Any) -> int:
    """Return a batch size.

    Raises:
        StudyError: no whole number above 0.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise StudyError(f"batch_size must be a whole number of examples above 0, got {size!r}.")
    return int(size)
