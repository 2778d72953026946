"""What the adapters accept as data, whatever the framework."""

from __future__ import annotations

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


def length(train: Any) -> int | None:
    """Return how many training examples there are, None where only reading tells."""
    return len(train[0]) if isinstance(train, tuple | list) else None


def checked_size(size: Any) -> int:
    """Return a batch size.

    Raises:
        StudyError: no whole number above 0.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise StudyError(f"batch_size must be a whole number of examples above 0, got {size!r}.")
    return int(size)
