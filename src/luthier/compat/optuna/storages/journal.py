"""A journal's file, where Optuna has it: ``optuna.storages.journal``."""

from __future__ import annotations

import os
import warnings
from typing import Any

from luthier.compat.optuna.missing import absent
from luthier.errors import LuthierWarning


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


__all__ = ["JournalFileBackend"]
__getattr__ = absent("storages.journal", lambda: __all__)
