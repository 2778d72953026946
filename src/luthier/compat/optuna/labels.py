"""What choices are called in the log, and the objects that they are called for.

A log holds plain data: texts, numbers, truth values, None, and tuples of these. Any other choice, such as a
function, has a label there, made of its place and its text; the object itself is known to the processes
that have met the choices.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Sequence
from typing import Any, cast

from luthier.space.plain import plain

_LARGEST = 2**63  # from here on MessagePack has no whole numbers
_UNPLACED = "?: "  # of a value that was asked for before its choices were known


def label_of(place: int, choice: Any) -> Any:
    """Return what a choice is called in the log: itself where that is plain data."""
    return plain(choice) if _is_plain(choice) else f"{place}: {text_of(choice)}"


def written(value: Any) -> Any:
    """Return what stands in the log for a value that was asked for, whatever its choices will be."""
    own = plain(value)
    return own if _is_plain(own) else f"{_UNPLACED}{text_of(value)}"


def text_of(value: Any) -> str:
    """Return a text for *value* that is the same in every process."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):  # functions and classes, whose own text has an address
        return f"{getattr(value, '__module__', '')}.{name}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def place_of(value: Any, choices: Sequence[Any]) -> int | None:
    """Return which of *choices* is meant by *value*, itself or as the log has it; None: none of them."""
    labels = [label_of(place, choice) for place, choice in enumerate(choices)]
    own = plain(value)
    text = own.removeprefix(_UNPLACED) if isinstance(own, str) and own.startswith(_UNPLACED) else ""
    for meant in (
        lambda place: choices[place] is value or _alike(labels[place], own),
        lambda place: text != "" and text_of(choices[place]) == text,
        lambda place: _equal(choices[place], value),  # as in Optuna: 1 means True
        lambda place: _equal(plain(choices[place]), own),  # a list, which the log has as a tuple
    ):
        for place in range(len(choices)):
            if meant(place):
                return place
    return None


class Objects:
    """The choices that are no plain data, by what they are called."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process can be given: not the functions within functions, and their like."""
        return {"_known": {key: value for key, value in self._known.items() if _travels(value)}}

    def learn(self, name: str, choices: Sequence[Any]) -> bool:
        """Remember the choices of a parameter; return whether any was new."""
        new = False
        for place, choice in enumerate(choices):
            new |= self.keep(name, label_of(place, choice), choice)
        return new

    def keep(self, name: str, label: Any, value: Any) -> bool:
        """Remember what one value of a parameter is called; return whether that was new."""
        key = (name, repr(label))  # the text, because 1 and True are one key of a dictionary
        if label is value or key in self._known:
            return False
        self._known[key] = value
        return True

    def of(self, name: str, label: Any) -> Any:
        """Return the object, or the label where no such object was met in this process."""
        return self._known.get((name, repr(label)), label)


def _travels(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # whatever an object's own way to be pickled raises
        return False
    return True


def _is_plain(value: Any) -> bool:
    own = plain(value)
    if isinstance(own, tuple):
        if isinstance(value, list):
            return False  # it would come back as a tuple
        parts = cast("tuple[Any, ...]", own)
        return all(_is_plain(part) and not isinstance(part, tuple) for part in parts)
    if isinstance(own, float):
        return math.isfinite(own)
    if isinstance(own, int):
        return abs(own) < _LARGEST
    return own is None or isinstance(own, str)


def _alike(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b) or (a != a and b != b)
    except Exception:  # an array, or any other object, may refuse to be compared
        return False


__all__ = ["Objects", "label_of", "place_of", "text_of", "written"]
