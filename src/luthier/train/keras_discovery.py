"""Finds the space of a build function, and lets go of the models that it makes on the way."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from luthier.run.recording import out_of_memory
from luthier.space import HyperParameters, Space, discover
from luthier.train.memory import cleared_session, freeze_once

_SILENT_SECONDS = 5.0


def discovered(ask: Callable[[HyperParameters], None], horizon: int = 1) -> Space:
    """Return the space that *ask* asks for, and say once where that takes long.

    Args:
        ask: builds a model, and keeps none.
        horizon: the most epochs a trial will train.

    Raises:
        SpaceError: one run asks for the same name with two ranges.
        Exception: whatever *ask* raises.
    """
    freeze_once()  # then a collection takes a millisecond
    return discover(_Builds(ask), unfit=out_of_memory, horizon=horizon)


class _Builds:
    def __init__(self, ask: Callable[[HyperParameters], None]) -> None:
        self._ask = ask
        self._count, self._told, self._begin = 0, False, time.monotonic()

    def __call__(self, hp: HyperParameters) -> None:
        self._count += 1
        try:
            self._ask(hp)
        finally:
            cleared_session(collects=True)  # a model is a circle of references
        self._tell()

    def _tell(self) -> None:
        seconds = time.monotonic() - self._begin
        if self._told or seconds < _SILENT_SECONDS:
            return
        self._told = True
        print(
            f"luthier: looking for hyperparameters: {self._count} builds in {seconds:.0f} s so far, 64 at "
            "most; with space= none is needed",
            file=sys.stderr,
        )
