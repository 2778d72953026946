"""The state of Python's and numpy's global random generators, to be kept and put back."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np


def random_state() -> dict[str, Any]:
    """Return both generators' state, as JSON can hold it."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    numbers = np.asarray(keys).tolist()
    return {
        "python": random.getstate(),
        "numpy": [str(kind), numbers, int(position), int(has_gauss), float(gauss)],
    }


def set_random_state(saved: dict[str, Any]) -> None:
    """Put both back into a state that ``random_state`` returned; read from JSON, it has lists."""
    version, numbers, gauss = saved["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = saved["numpy"]
    np.random.set_state((kind, np.asarray(keys).astype(np.uint32), *rest))


@contextmanager
def same_random_state() -> Generator[None]:
    """Put both back at the end to where they were."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
