"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

from luthier.errors import StudyError

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "b": 1, "": 1}


def bytes_of(text: str) -> int:
    """Return how many bytes ``30MB`` or ``2GB`` are; a plain number is bytes.

    Raises:
        StudyError: it is no size.
    """
    number = text.strip().lower().rstrip("kmgtb")
    unit = text.strip().lower()[len(number) :]
    try:
        size = int(float(number) * _UNITS[unit])
        if size < 0:
            raise ValueError
        return size
    except (ValueError, OverflowError, KeyError):
        raise StudyError(f"A size must be such as 30MB or 2GB, got {text!r}.") from None


def size(count: int) -> str:
    """Return so many bytes in words: '3 MB'."""
    for unit in ("TB", "GB", "MB", "kB"):
        if count >= _UNITS[unit.lower()]:
            return f"{count / _UNITS[unit.lower()]:.3g} {unit}"
    return f"{count} bytes"
