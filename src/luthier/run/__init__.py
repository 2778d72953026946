"""Where and how trials run: the worker loop, its supervisor, and engines that place it elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.run.dask_engine import dask
    from luthier.run.ray_engine import ray

_PUBLIC = {"dask": "luthier.run.dask_engine", "ray": "luthier.run.ray_engine"}

__all__ = ["dask", "ray"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'luthier.run' has no attribute {name!r}")
