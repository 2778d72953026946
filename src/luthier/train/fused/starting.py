"""Starting weights drawn by numpy: on JAX every new shape of a weight has its own program to compile.

Keras's initialisers draw through JAX, which compiles a generator for each shape: 1.3 s for a net of two
dense layers, as much as its whole training step takes. Drawn by numpy they have the same distributions
and depend on the same seeds; only the numbers are others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np

Draw = Callable[[np.random.Generator, Sequence[int]], np.ndarray]


@contextmanager
def drawn_by_numpy() -> Generator[None]:
    """Have Keras's initialisers draw by numpy as long as this lasts."""
    import jax.numpy as jnp

    module: Any = sys.modules[keras.initializers.VarianceScaling.__module__]
    zeros, ones = keras.initializers.Zeros, keras.initializers.Ones
    before: Any = getattr(module, "random", None)
    constants: Any = zeros.__call__, ones.__call__

    def filled(value: int) -> Callable[..., Any]:
        def call(_: Any, shape: Sequence[int], dtype: Any = None, **layout: Any) -> Any:
            array = np.full(tuple(shape), value, np.float32)
            return jnp.asarray(array.astype(jnp.dtype(dtype or keras.config.floatx())))

        return call

    if not hasattr(before, "truncated_normal"):  # a Keras that is made otherwise
        yield
        return
    module.random = _Drawing(before)
    zeros.__call__, ones.__call__ = filled(0), filled(1)
    try:
        yield
    finally:
        module.random = before
        zeros.__call__, ones.__call__ = constants


class _Drawing:
    """Keras's random functions, three of them by numpy."""

    def __init__(self, others: Any) -> None:
        self._others = others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)

    def uniform(
        self,
        shape: Sequence[int],
        minval: float = 0.0,
        maxval: float = 1.0,
        dtype: Any = None,
        seed: Any = None,
    ) -> Any:
        def draw(chance: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
            return minval + (maxval - minval) * chance.random(shape, np.float32)

        otherwise = partial(self._others.uniform, minval=minval, maxval=maxval)
        return _drawn(draw, otherwise, shape, dtype, seed)

    def normal(
        self,
        shape: Sequence[int],
        mean: float = 0.0,
        stddev: float = 1.0,
        dtype: Any = None,
        seed: Any = None,
    ) -> Any:
        def draw(chance: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
            return mean + stddev * chance.standard_normal(shape, np.float32)

        otherwise = partial(self._others.normal, mean=mean, stddev=stddev)
        return _drawn(draw, otherwise, shape, dtype, seed)

    def truncated_normal(
        self,
        shape: Sequence[int],
        mean: float = 0.0,
        stddev: float = 1.0,
        dtype: Any = None,
        seed: Any = None,
    ) -> Any:
        def draw(chance: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
            values = chance.standard_normal(shape, np.float32)
            while (far := np.abs(values) > 2).any():
                values[far] = chance.standard_normal(np.count_nonzero(far), np.float32)
            return mean + stddev * values

        otherwise = partial(self._others.truncated_normal, mean=mean, stddev=stddev)
        return _drawn(draw, otherwise, shape, dtype, seed)


def _drawn(
    draw: Draw, otherwise: Callable[..., Any], shape: Sequence[int], dtype: Any, seed: Any
) -> Any:
    """Return the values of one variable: like Keras's, they depend on seed and shape alone.

    A seed that is no number (Keras's own generator of seeds) is Keras's to draw by: *otherwise*.
    """
    if not isinstance(seed, int):
        return otherwise(shape, dtype=dtype, seed=seed)
    import jax.numpy as jnp

    size = tuple(shape)
    values = np.asarray(draw(np.random.Generator(np.random.Philox([seed, *size])), size))
    return jnp.asarray(values.astype(jnp.dtype(dtype or keras.config.floatx())))
