"""Sweeps of a learning-rate range test in JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from luthier.errors import StudyError
from luthier.study.chance import derive
from luthier.train.data import check_lengths, checked_size
from luthier.train.range_sweep import batches, sweep, training_part

Tree = Any
RatedStep = Callable[[Tree, Any, Any], tuple[Tree, Any]]


def _makes(state: Any) -> bool:
    """Return whether *state* is a function that makes one; a net that can be called is a state itself."""
    leaves = jax.tree.leaves(state)
    return callable(state) and len(leaves) == 1 and leaves[0] is state


def sweeps(
    step: RatedStep,
    state: Tree | Callable[[jax.Array], Tree],
    data: Any,
    rates: np.ndarray,
    *,
    batch_size: int,
    count: int,
    seed: int,
) -> np.ndarray:
    """Return the losses of *count* sweeps, shape (count, rates); arguments as for the door's.

    A state is a value, so nothing needs to be restored; no global random state is drawn from.
    """
    part = training_part(data)
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise StudyError(f"data must hold (x, y) arrays to train on, got {type(part).__name__}.")
    inputs, targets = (np.asarray(each) for each in part)
    check_lengths("training", inputs, targets)
    size = checked_size(batch_size)
    compiled = jax.jit(step)
    found: list[np.ndarray] = []
    for index in range(count):
        key = jax.random.key(derive(seed, "range", index) >> 33)
        now = state(key) if _makes(state) else state
        rows = batches(len(inputs), size, seed, index)

        def train(rate: float, rows: Any = rows) -> float:
            nonlocal now
            chosen = next(rows)
            now, loss = compiled(now, (inputs[chosen], targets[chosen]), np.float32(rate))
            return float(loss["loss"] if isinstance(loss, dict) else loss)

        found.append(sweep(train, rates))
    return np.stack(found)
