"""Convolutions as products of matrices, for processors.

On processors XLA computes a convolution within a loop, and a strided one's gradients anywhere, by plain loops
on one thread: 5 to 25 times as long as the product that it is, patches of the input times the kernel
(Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for document
processing", section 3). Epochs are loops. The patches are made again for the gradients, not kept: they are as
many times the input as the kernel has places.
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

_PLACES = 128  # of a kernel; one with more stays a convolution


def as_products() -> AbstractContextManager[None]:
    """Have what is traced meanwhile multiply matrices where it asks for convolutions, on processors."""
    return replaced("conv_general_dilated", _planned)


def _planned(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    **more: Any,
) -> Callable[[], Any] | None:
    """Return what computes a convolution of all channels, or of each, that has a result."""
    where = jax.lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    channels, rank = lhs.shape[where.lhs_spec[1]], lhs.ndim - 2
    # A transposed convolution has zeros between its inputs.
    apart = tuple(lhs_dilation or [1] * rank)
    dilation = tuple(rhs_dilation or [1] * rank)
    sizes = [rhs.shape[axis] for axis in where.rhs_spec[2:]]
    room = [a * (lhs.shape[x] - 1) + 1 for a, x in zip(apart, where.lhs_spec[2:], strict=True)]
    reach = [d * (size - 1) + 1 for d, size in zip(dilation, sizes, strict=True)]
    if isinstance(padding, str):
        if set(apart) != {1}:
            return None
        padding = jax.lax.padtype_to_pads(room, reach, window_strides, padding)
    can = (
        feature_group_count in (1, channels)
        and rhs.shape[where.rhs_spec[1]] * feature_group_count == channels
        and batch_group_count == 1
        and math.prod(sizes) <= _PLACES
        and all(r >= k - sum(p) for r, k, p in zip(room, reach, padding, strict=True))
        and lhs.dtype == rhs.dtype
        and all(value is None for value in more.values())
    )
    if not can:
        return None
    filled = [(int(low), int(high), a - 1) for (low, high), a in zip(padding, apart, strict=True)]
    form = _by_channel if feature_group_count > 1 else _multiplied
    multiply = partial(form, tuple(window_strides), dilation)
    return partial(_as_product, lhs, rhs, filled, multiply, where)


def _as_product(
    lhs: Any, rhs: Any, filled: Sequence[tuple[int, int, int]], multiply: Any, where: Any
) -> Any:
    """Return the convolution that *multiply* computes of padded inputs (n, ..., c), laid out as asked."""
    batch, feature, *space = where.lhs_spec
    into, out_of, *kernel = where.rhs_spec
    inputs = jnp.transpose(lhs, (batch, *space, feature))
    inputs = jax.lax.pad(inputs, np.asarray(0, lhs.dtype), [(0, 0, 0), *filled, (0, 0, 0)])
    weights = jnp.transpose(rhs, (*kernel, out_of, into))
    found = jax.checkpoint(multiply)(inputs, weights)
    order = (where.out_spec[0], *where.out_spec[2:], where.out_spec[1])  # of ours, in the result
    return jnp.transpose(found, sorted(range(len(order)), key=order.__getitem__))


def _multiplied(strides: Sequence[int], dilation: Sequence[int], inputs: Any, weights: Any) -> Any:
    """Return the convolution of padded *inputs* (n, ..., c) with *weights* (..., c, k)."""
    patches = jnp.concatenate(_parts(strides, dilation, inputs, weights), axis=-1)
    return patches @ weights.reshape(-1, weights.shape[-1])


def _by_channel(strides: Sequence[int], dilation: Sequence[int], inputs: Any, weights: Any) -> Any:
    """Return the convolution of each channel of *inputs* (n, ..., c) with its own *weights* (..., 1, ck)."""
    channels = inputs.shape[-1]
    each = weights.reshape(-1, channels, weights.shape[-1] // channels)
    parts = _parts(strides, dilation, inputs, weights)
    found = sum(part[..., None] * one for part, one in zip(parts, each, strict=True))
    return jnp.reshape(found, (*parts[0].shape[:-1], -1))


def _parts(strides: Sequence[int], dilation: Sequence[int], inputs: Any, weights: Any) -> list[Any]:
    """Return, for each place of the kernel, the inputs that it meets."""
    sizes, room = weights.shape[:-2], inputs.shape[1:-1]
    steps = list(zip(sizes, room, strides, dilation, strict=True))
    counts = [(space - d * (size - 1) - 1) // stride + 1 for size, space, stride, d in steps]
    found: list[Any] = []
    for place in product(*map(range, sizes)):
        begin = [at * d for at, d in zip(place, dilation, strict=True)]
        end = [
            b + stride * (count - 1) + 1
            for b, stride, count in zip(begin, strides, counts, strict=True)
        ]
        found.append(
            jax.lax.slice(
                inputs,
                (0, *begin, 0),
                (inputs.shape[0], *end, inputs.shape[-1]),
                (1, *strides, 1),
            )
        )
    return found
