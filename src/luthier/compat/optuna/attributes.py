"""What may be written down about a study or a trial."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from luthier.errors import StudyError
from luthier.study.study import Study


def storable(study: Study, name: str, value: Any) -> Any:
    """Return an attribute's value as plain data; None for what stays in this process, with a memory store.

    Raises:
        StudyError: no plain data, and a store that others read.
    """
    plain = value.item() if type(value).__module__ == "numpy" and value.ndim == 0 else value
    try:
        msgspec.msgpack.encode(plain)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        if study.store.address != "memory":
            raise StudyError(
                f"Attribute {name.partition(':')[2]!r} is a {type(value).__name__}, which no store "
                "can hold: give numbers, texts, lists and dicts, or the path of a file."
            ) from None
        return None
    # What a script changes later on is no longer what was written down.
    return copy.deepcopy(plain) if isinstance(plain, dict | list) else plain


__all__ = ["storable"]
