"""Settings that a domain does not have: whoever writes another tuner's word is told Luthier's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from luthier.errors import SpaceError, nearest

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)

_HIDDEN = ("self", "condition", "subspaces")
_ELSEWHERE = {
    **dict.fromkeys(("min_value", "min", "lower", "minimum"), "low"),
    **dict.fromkeys(("max_value", "max", "upper", "maximum"), "high"),
    **dict.fromkeys(("sampling", "log", "distribution"), "scale"),
    **dict.fromkeys(("values", "choices", "categories"), "options"),
    **dict.fromkeys(("q", "quantization", "step_size"), "step"),
}


class UnknownSetting(SpaceError):
    """A keyword that a domain does not have."""


def told_by_name(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse unknown keywords of a function in words; *what* names it: 'hp.float'."""

    def decorated(call: Callable[P, R]) -> Callable[P, R]:
        taken = [p for p in signature(call).parameters.values() if p.name not in _HIDDEN]
        known = [p.name for p in taken if p.kind is not Parameter.VAR_POSITIONAL]
        listed = [p.name for p in taken if p.kind is Parameter.VAR_POSITIONAL]

        @wraps(call)
        def checked(*given: P.args, **named: P.kwargs) -> R:
            for word, value in named.items():
                if word not in known and word not in _HIDDEN:
                    raise _unknown(what, word, value, known, listed)
            return call(*given, **named)

        return checked

    return decorated


def settings_told(domain: C) -> C:
    """Do the same for a domain's class."""
    made: Any = domain.__init__
    domain.__init__ = told_by_name(domain.__name__)(made)
    return domain


def _unknown(
    what: str, word: str, value: object, known: list[str], listed: list[str]
) -> UnknownSetting:
    ours = _ELSEWHERE.get(word, word)
    if ours in listed:
        hint = f" Write the {ours} one after another: {what}('a', 'b')."
    elif ours == "scale" and ours in known and value is True:
        hint = " Write scale='log'."
    elif ours != word and ours in known:
        hint = f" Here it is called {ours}=."
    else:
        hint = nearest(word, known)
    takes = ", ".join(listed + known)
    return UnknownSetting(f"{what} has no {word}= (got {value!r}): it takes {takes}.{hint}")
