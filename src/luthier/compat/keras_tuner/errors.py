"""KerasTuner's errors by their own names."""

from __future__ import annotations

from luthier.errors import LuthierError


class FailedTrialError(LuthierError):
    """What a hypermodel raises to have its trial counted as failed, and the search go on."""


class TooManyFailures(LuthierError, RuntimeError):
    """So many trials in a row failed that the search ends."""


class AnotherSearch(LuthierError, RuntimeError):
    """The project's folder has trials of another tuner."""


class FatalError(LuthierError):
    """What a hypermodel raises to end the search."""


class FatalValueError(FatalError, ValueError):
    """The same."""


class FatalTypeError(FatalError, TypeError):
    """The same."""


class FatalRuntimeError(FatalError, RuntimeError):
    """The same."""
