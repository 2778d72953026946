"""The gradients of max pooling by slices, for processors.

On processors XLA scatters a pooling's gradients window by window, on one thread: 3 to 13 times as long as
comparing, for each place of the window, all inputs there with the maxima. As in XLA the first of equal inputs
gets the gradient, windows read row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from luthier.train.fused.replacing import replaced

_reduce_window = jax.lax.reduce_window  # JAX's own, whatever takes its place
_PLACES = 9  # of a window; for larger ones XLA is as fast or faster


def pooled_by_slices() -> AbstractContextManager[None]:
    """Have max pooling that is traced meanwhile find its gradients by slices, on processors."""
    return replaced("reduce_window", _planned)


def _planned(
    operand: Any,
    init_value: Any,
    computation: Any,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None,
    padding: Any,
    **more: Any,
) -> Callable[[], Any] | None:
    """Return what computes the maximum of floats, over windows that are no larger than their room."""
    if computation is not jax.lax.max or any(value is not None for value in more.values()):
        return None
    if not hasattr(operand, "shape") or not jnp.issubdtype(operand.dtype, jnp.floating):
        return None
    if not isinstance(init_value, float | np.floating | np.ndarray) or float(init_value) != -np.inf:
        return None
    window = tuple(window_dimensions)
    strides = tuple(window_strides or [1] * len(window))
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(operand.shape, window, strides, padding)
    pads = tuple((int(low), int(high)) for low, high in padding)
    sizes = [size + sum(pad) for size, pad in zip(operand.shape, pads, strict=True)]
    fits = all(size >= w for size, w in zip(sizes, window, strict=True))
    if not (1 < math.prod(window) <= _PLACES and min(map(min, pads)) >= 0 and fits):
        return None
    return partial(_maxima, window, strides, pads, operand)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _maxima(window: Any, strides: Any, pads: Any, inputs: Any) -> Any:
    lowest = np.asarray(-np.inf, inputs.dtype)
    return _reduce_window(inputs, lowest, jax.lax.max, window, strides, pads)


@_maxima.defjvp
def _slope(window: Any, strides: Any, pads: Any, at: Any, along: Any) -> Any:
    """Return the maxima, and how they change as their inputs change *along*."""
    (inputs,), (changes,) = at, along
    maxima = _maxima(window, strides, pads, inputs)
    taken: Any = jnp.zeros(maxima.shape, bool)
    found: Any = jnp.zeros_like(maxima)
    padded = jax.lax.pad(inputs, np.asarray(-np.inf, inputs.dtype), [(*p, 0) for p in pads])
    moved = jax.lax.pad(changes, np.asarray(0, changes.dtype), [(*p, 0) for p in pads])
    *places, last = product(*map(range, window))
    for place in (*places, last):
        end = [a + s * (n - 1) + 1 for a, s, n in zip(place, strides, maxima.shape, strict=True)]
        here = ~taken  # at the last place: also where a maximum is no number, which equals nothing
        if place is not last:
            here &= jax.lax.slice(padded, place, end, strides) == maxima
        taken |= here
        found += jnp.where(here, jax.lax.slice(moved, place, end, strides), 0)
    return maxima, found
