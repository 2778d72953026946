"""A journal's file, where Optuna has it: ``optuna.storages.journal``."""

from __future__ import annotations

import os
import warnings
from typing import Any

from luthier.compat.optuna.missing import absent
from luthier.errors import LuthierWarning, StudyError


class _Lock:
    """A journal's lock, which ``JournalFileBackend`` says is not used.

    Args:
        filepath: of the journal.
        grace_period: seconds after which Optuna breaks a lock; None for never.

    Raises:
        StudyError: a period that is not above 0.
    """

    def __init__(self, filepath: str, grace_period: int | None = 30) -> None:
        if grace_period is not None and grace_period <= 0:
            raise StudyError(
                f"{type(self).__name__}: grace_period must be above 0, got {grace_period!r}."
            )
        self.filepath = filepath
        self.grace_period = grace_period


class JournalFileOpenLock(_Lock):
    """Optuna's lock by an exclusive file."""


class JournalFileSymlinkLock(_Lock):
    """Optuna's lock by a link."""


class JournalFileBackend:
    """A journal's file.

    Raises:
        TypeError: no path.
    """

    def __init__(self, file_path: str | os.PathLike[str], lock_obj: Any = None) -> None:
        if not isinstance(file_path, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"JournalFileBackend({file_path!r}): expected a path.")
        if lock_obj is not None:
            warnings.warn(
                "JournalFileBackend: lock_obj has no effect here. What is written is an SQLite file "
                "beside the journal, which locks itself.",
                LuthierWarning,
                stacklevel=2,
            )
        self.file_path = str(file_path)


__all__ = ["JournalFileBackend", "JournalFileOpenLock", "JournalFileSymlinkLock"]
__getattr__ = absent("storages.journal", lambda: __all__)
