"""Where the data are: on the device, put there once for all trials, or on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = tuple[Any, ...]

_KEPT = 2  # training and validation
_kept: list[tuple[Arrays, str | None, Arrays]] = []  # what was given, as what floats, what was made


@dataclass(frozen=True)
class Data:
    """Arrays of training and of validation, examples along the first axis.

    Attributes:
        train: on the device, or numpy's on the host.
        validation: the same.
        on_host: where they are.
        floats: the type that floats have, or get on the way to the device; None leaves it to JAX.
    """

    train: Arrays
    validation: Arrays
    on_host: bool
    floats: str | None

    @property
    def shapes(self) -> tuple[Arrays, Arrays]:
        """Return arrays, or what stands for them, with the shapes and types that they have there."""
        if not self.on_host:
            return self.train, self.validation
        return self._shapes(self.train), self._shapes(self.validation)

    def _shapes(self, arrays: Arrays) -> Arrays:
        # Which types JAX narrows (64 bits to 32, mostly) it is asked by way of an array of no rows.
        types = [converted(array[:0], self.floats).dtype for array in arrays]
        return tuple(jax.ShapeDtypeStruct(a.shape, t) for a, t in zip(arrays, types, strict=True))


def placed(train: Arrays, validation: Arrays, floats: str | None = None) -> Data:
    """Return data put on the device, or left on the host to be streamed.

    They stay there when an array is mapped from a file (``numpy.memmap``), or when they would take more
    than half of the device's free memory.

    Args:
        train: arrays, or what becomes one.
        validation: the same.
        floats: the type that floats get; None leaves it to JAX.
    """
    parts = (train, validation)
    there = all(_found(part, floats) is not None for part in parts)
    if not there:
        host = tuple(map(np.asarray, train)), tuple(map(np.asarray, validation))
        arrays = [array for part in host for array in part]
        if any(map(_mapped, arrays)) or sum(array.nbytes for array in arrays) > room():
            return Data(*host, True, floats)
    return Data(on_device(train, floats), on_device(validation, floats), False, floats)


def on_device(arrays: Arrays, floats: str | None = None) -> Arrays:
    """Return arrays on the device, the same ones for the next trial with the same data.

    Args:
        arrays: numpy's, or what becomes one.
        floats: the type that floats get; None leaves it to JAX.
    """
    if (found := _found(arrays, floats)) is not None:
        return found
    made = tuple(converted(array, floats) for array in arrays)
    _kept.append((tuple(arrays), floats, made))
    del _kept[:-_KEPT]
    return made


def converted(array: Any, floats: str | None) -> Any:
    """Return an array on the device, its floats as *floats*."""
    values = np.asarray(array)
    return jnp.asarray(values, floats if values.dtype.kind == "f" else None)


def room() -> float:
    """Return the bytes that data may take on the device; no bound where they stay where they are."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in statistics:
        return float("inf")
    return 0.5 * (statistics["bytes_limit"] - statistics.get("bytes_in_use", 0))


def _found(arrays: Arrays, floats: str | None) -> Arrays | None:
    for given, kind, made in _kept:
        if kind == floats and len(given) == len(arrays) and all(map(_is, given, arrays)):
            return made
    return None


def _is(one: Any, other: Any) -> bool:
    return one is other


def _mapped(array: Any) -> bool:
    """Return True for an array that is read from a file as it is used, or a view of one."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False
