"""When a study stops proposing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much a study may try. ``None`` is no limit.

    Attributes:
        trials: trials in all, those of earlier sessions included.
        epochs: epochs of all trials together.
    """

    trials: int | None = None
    epochs: int | None = None
