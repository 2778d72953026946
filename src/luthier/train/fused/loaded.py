"""Where the data are: on the device, put there once for all trials, or on the host."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from luthier.train.on_disk import in_a_file

Arrays = tuple[Any, ...]

_KEPT = 2  # training and validation
_LOOKED_AT = 2**28  # bytes of an array at most, when it is looked whether it was changed
_SAMPLE = 4096  # numbers of it whose order is looked at, too

Content = tuple[int, int] | None


class _Kept(NamedTuple):
    """What was given, as what floats, what the arrays held then, and what was made of them."""

    given: Arrays
    floats: str | None
    held: list[Content]
    made: Arrays


_kept: list[_Kept] = []


def forget() -> None:
    """Let go of all data on the device, and of the arrays that they were made of."""
    _kept.clear()


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
        if any(map(in_a_file, arrays)) or sum(array.nbytes for array in arrays) > room():
            return Data(*host, True, floats)
    return Data(on_device(train, floats), on_device(validation, floats), False, floats)


def on_device(arrays: Arrays, floats: str | None = None) -> Arrays:
    """Return arrays on the device, the same ones for the next trial with the same data.

    Arrays that were changed in place since are put there anew.

    Args:
        arrays: numpy's, or what becomes one.
        floats: the type that floats get; None leaves it to JAX.
    """
    if (found := _found(arrays, floats)) is not None:
        return found
    made = tuple(converted(array, floats) for array in arrays)
    _kept[:] = [kept for kept in _kept if not _alike(kept, arrays, floats)]
    _kept.append(_Kept(tuple(arrays), floats, list(map(_content, arrays)), made))
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
    for kept in _kept:
        if _alike(kept, arrays, floats) and kept.held == list(map(_content, arrays)):
            return kept.made
    return None


def _alike(kept: _Kept, arrays: Sequence[Any], floats: str | None) -> bool:
    """Return whether these very arrays were kept, whatever they hold by now."""
    same = len(kept.given) == len(arrays) and all(map(_is, kept.given, arrays))
    return same and kept.floats == floats


def _content(array: Any) -> Content:
    """Return what tells whether an array was changed in place: a sum, and a digest of a sample.

    3 ms for 30 MB; of an array beyond ``_LOOKED_AT`` only some numbers count. None for what is no array of
    numpy's, such as JAX's, which cannot be changed.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        return None
    flat = np.ascontiguousarray(array.reshape(-1)[:: 1 + array.nbytes // _LOOKED_AT])
    content = flat.view(np.uint8)
    whole = len(content) // 8 * 8
    total = int(content[:whole].view(np.uint64).sum()) + int(content[whole:].sum())
    return total, zlib.crc32(flat[:: max(1, len(flat) // _SAMPLE)].tobytes())


def _is(one: Any, other: Any) -> bool:
    return one is other
