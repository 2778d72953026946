"""Deleting checkpoints that nobody needs: one that stays costs space, and is no reason to stop a training."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator

from luthier.errors import LuthierWarning


class Deleting:
    """Warns once where something cannot be deleted, whatever keeps it: a disk, a server, the network.

    Args:
        where: where the checkpoints are, in words.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._warned = False

    @contextlib.contextmanager
    def warning(self) -> Generator[None]:
        """Turn an error while deleting into one warning; the next time it is tried again."""
        try:
            yield
        except OSError as error:  # also a CheckpointError and a StorageError
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"Checkpoints that nobody needs stay at {self._where}: {error}",
                    LuthierWarning,
                    stacklevel=3,
                )
