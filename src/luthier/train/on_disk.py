"""Arrays that are read from a file as they are used."""

from __future__ import annotations

from typing import Any

import numpy as np


def in_a_file(array: Any) -> bool:
    """Return True for an array that is read from a file as it is used, or a view of one."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def rows_of(array: Any, rows: np.ndarray) -> Any:
    """Return *rows* of an array, read in the order in which they lie there: a file likes that."""
    ascending, places = np.unique(rows, return_inverse=True)
    return array[ascending][places]
