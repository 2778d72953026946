"""A journal's file, where Optuna has it: ``optuna.storages.journal``."""

from __future__ import annotations

from typing import Any


class JournalFileBackend:
    """A journal's file."""

    def __init__(self, file_path: str, *_: Any, **__: Any) -> None:
        self.file_path = file_path
