"""What the settings of pruners and samplers may be, and the words for what they may not."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from luthier.errors import StudyError, nearest


def at_least(owner: object, **least: int) -> None:
    """Refuse an attribute of *owner* that is no whole number of at least so much.

    Raises:
        StudyError: one is not.
    """
    for name, lowest in least.items():
        value = getattr(owner, name)
        if not _is_whole(value, lowest):
            raise StudyError(
                f"{type(owner).__name__}: {name} must be a whole number of at least {lowest}, got "
                f"{value!r}."
            )


def auto_or_whole(owner: object, name: str) -> None:
    """Refuse an attribute that is neither "auto" nor a whole number above 0.

    Raises:
        StudyError: it is neither.
    """
    value = getattr(owner, name)
    if value != "auto" and not _is_whole(value, 1):
        raise StudyError(
            f"{type(owner).__name__}: {name} must be a whole number of at least 1, or 'auto', got "
            f"{value!r}."
        )


def _is_whole(value: Any, lowest: int) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value >= lowest


def bound(owner: object, name: str) -> None:
    """Refuse an attribute that is neither None nor a number.

    Raises:
        TypeError: it is neither.
    """
    value = getattr(owner, name)
    if value is not None and (isinstance(value, str | bytes) or not hasattr(value, "__float__")):
        raise TypeError(f"{type(owner).__name__}: {name} must be a number, got {value!r}.")


def percentage(owner: object, name: str) -> None:
    """Refuse an attribute that is no number from 0 to 100.

    Raises:
        StudyError: it is out of range.
        TypeError: it is no number.
    """
    bound(owner, name)
    value = getattr(owner, name)
    if value is None or not 0 <= value <= 100:
        raise StudyError(
            f"{type(owner).__name__}: {name} must lie between 0 and 100, got {value!r}."
        )


def fraction(owner: str, name: str, value: Any) -> None:
    """Refuse what is no number from 0 to 1.

    Raises:
        StudyError: it is none.
    """
    if isinstance(value, str | bytes) or not hasattr(value, "__float__") or not 0 <= value <= 1:
        raise StudyError(f"{owner}: {name} must lie between 0 and 1, got {value!r}.")


def seed(owner: str, value: Any) -> int | None:
    """Return a seed as Python's own number.

    Raises:
        TypeError: neither None nor a whole number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{owner}: seed must be a whole number or None, got {value!r}.")
    return int(value)


def known(owner: str, given: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Refuse arguments that Optuna does not know.

    Raises:
        TypeError: one is unknown.
    """
    for name in given:
        if name not in names:
            raise TypeError(
                f"{owner}() has no argument {name!r}: expected {', '.join(names)}."
                f"{nearest(name, names)}"
            )


def one_of_kind(what: str, value: Any, kind: type, example: str) -> None:
    """Refuse what is no object of a kind.

    Raises:
        TypeError: it is a class, or something else.
    """
    if isinstance(value, kind):
        return
    if inspect.isclass(value):
        raise TypeError(
            f"{what} is the class {value.__name__}: expected an object of it, {value.__name__}()."
        )
    raise TypeError(f"{what} is {value!r}: expected an object such as {example}.")


def example(given: Any, names: Iterable[str]) -> str:
    """Return the call that *given* may have meant: TPESampler() for 'tpe'."""
    by_word = {name.removesuffix("Sampler").removesuffix("Pruner").lower(): name for name in names}
    close = get_close_matches(str(given).lower(), list(by_word), n=1)
    return f"{by_word[close[0]]}()" if close else f"{next(iter(by_word.values()))}()"
