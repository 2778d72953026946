"""How counts are written in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return the count with its noun: '1 trial', '2 trials'."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def were_tried(trials: int | None) -> str:
    """Return why a study ends that its limit of *trials* ends: '1 trial was tried'."""
    return f"{counted(trials or 0, 'trial')} {'was' if trials == 1 else 'were'} tried"
