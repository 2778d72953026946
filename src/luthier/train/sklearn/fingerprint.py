"""What else decides a search's scores beside its data: the estimator with its fixed parameters, the scoring.

It is described in words that are the same whenever the same script runs, in any process, on any machine and
with any Python: no addresses, no module (``__main__`` or its name), no parameter that is left at its default
(a new scikit-learn adds some), none that changes only where and how fast a fit runs. An object that says
nothing of itself counts by its class, and a random generator does, whose state moves on. Functions count by
their names, and the user's own, as long as Python stays the same, by their code: all lambdas have one name.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, cast

import joblib
import numpy as np

from luthier.train.sklearn.task import Task

PYTHON = "{}.{}".format(*sys.version_info)  # other ones compile the same function to other code

# Parameters that say where and how fast, and change no score.
_HOW = {
    *("n_jobs", "nthread", "num_threads", "thread_count", "device", "memory", "cache_size"),
    *("verbose", "verbosity"),
}
_LONGEST = 120  # characters of a description; a longer one becomes its beginning and a digest
_DEEPEST = 8  # parts within parts
_LIBRARIES = tuple(sysconfig.get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))


@dataclass(eq=False)
class Fingerprint:
    """Descriptions by what they describe.

    Attributes:
        words: in words; what is not there is as it is by default.
        code: digests of the functions in it, by the same names.
    """

    words: dict[str, str] = field(default_factory=dict[str, str])
    code: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, name: str, value: Any) -> None:
        """Describe *value*."""
        reader = _Reader()
        self.words[name] = _shortened(reader.read(value))
        if reader.code:
            self.code[name] = _digest("".join(reader.code))


def fingerprint(task: Task, scoring: Any, *, by_epochs: bool) -> Fingerprint:
    """Return what is to stay the same in a study of this search, its data and folds aside.

    Parameters that every configuration sets are no part of it; the options that the log has only a name of
    are.

    Args:
        task: the search.
        scoring: as the user gave it.
        by_epochs: whether estimators train by ``partial_fit``.
    """
    found = Fingerprint()
    _add_estimator(found, task.estimator, "", task.ranges.always)
    # Names in whatever order are the same scores.
    several = isinstance(scoring, list | tuple) and all(isinstance(s, str) for s in scoring)  # pyright: ignore[reportUnknownVariableType]
    found.add("the scoring", set(cast("list[str]", scoring)) if several else scoring)
    found.words["trained by"] = "epochs" if by_epochs else "folds"
    for kind, given in (("fit", task.fit_params), ("score", task.score_params)):
        for name, value in given.items():
            if value is not None:
                found.add(f"{name} for {kind}", value)
    for name, meaning in task.ranges.meanings.items():
        if isinstance(meaning, Mapping):
            for (_, label), value in cast("Mapping[Any, Any]", meaning).items():
                if value is not label:
                    found.add(f"option {label} of {name}", value)
    return found


def _add_estimator(
    found: Fingerprint, estimator: Any, path: str, searched: AbstractSet[str]
) -> None:
    """Describe an estimator and, by their own names (``svc__C``), the parameters that nobody searches."""
    found.words[path or "the estimator"] = type(estimator).__qualname__
    prefix = f"{path}__" if path else ""
    for name, value in _changed(estimator):
        full = prefix + name
        if full in searched:
            continue
        steps = _steps(value)
        if steps:
            found.add(full, [(step[0], *step[2:]) for step in steps])
        for key, part in [(prefix + s[0], s[1]) for s in steps] or [(full, value)]:
            if key in searched:
                continue
            if _is_estimator(part):
                _add_estimator(found, part, key, searched)
            else:
                found.add(key, part)


def _changed(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over an estimator's parameters that are not at their defaults, in order."""
    try:
        given: dict[str, Any] = estimator.get_params(deep=False)
        defaults = inspect.signature(type(estimator).__init__).parameters
    except Exception:  # an estimator of somebody's own: its class must do
        return
    for name in sorted(given):
        default = defaults[name].default if name in defaults else None
        if name not in _HOW and _Reader().read(given[name]) != _Reader().read(default):
            yield name, given[name]


def _steps(value: Any) -> Sequence[Sequence[Any]]:
    """Return the named parts of a pipeline, a union, a vote; nothing where *value* is something else."""
    if not isinstance(value, list) or not value:
        return ()
    steps = cast("list[Any]", value)
    named = all(isinstance(s, tuple) and len(s) > 1 and isinstance(s[0], str) for s in steps)  # pyright: ignore[reportUnknownArgumentType]
    return steps if named and any(_is_estimator(step[1]) for step in steps) else ()


def _is_estimator(value: Any) -> bool:
    return callable(getattr(value, "get_params", None)) and not isinstance(value, type)


@dataclass(eq=False)
class _Reader:
    """Puts a value into words, and collects the code of the functions in it."""

    code: list[str] = field(default_factory=list[str])

    def read(self, value: Any, depth: int = 0) -> str:
        """Return the words."""
        name = type(value).__qualname__
        if depth > _DEEPEST:  # perhaps a part of itself
            return name
        inner = functools.partial(self.read, depth=depth + 1)
        if isinstance(value, Enum):
            return f"{name}.{value.name}"
        if isinstance(value, np.generic):
            return inner(value.item())
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return repr(value)
        if isinstance(value, Mapping):
            items = cast("Mapping[Any, Any]", value).items()
            return "{" + ", ".join(sorted(f"{inner(k)}: {inner(v)}" for k, v in items)) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(inner, cast("Sequence[Any]", value))) + "]"
        if isinstance(value, AbstractSet):
            return "{" + ", ".join(sorted(map(inner, cast("AbstractSet[Any]", value)))) + "}"
        if isinstance(value, type):
            return value.__qualname__
        if hasattr(value, "shape") and (hasattr(value, "dtype") or hasattr(value, "dtypes")):
            return f"{name} {_hashed(value)}"
        return self._object(value, name, inner)

    def _object(self, value: Any, name: str, inner: Callable[[Any], str]) -> str:
        """Return the words for an object that is no plain data."""
        if isinstance(value, functools.partial):
            bound = cast("functools.partial[Any]", value)
            return f"partial({inner(bound.func)}, {inner(bound.args)}, {inner(bound.keywords)})"
        if _is_estimator(value):
            parameters = ", ".join(f"{key}={inner(part)}" for key, part in _changed(value))
            return f"{name}({parameters})"
        if hasattr(value, "_score_func"):  # what make_scorer has made
            parts = [getattr(value, f"_{p}", None) for p in ("sign", "kwargs", "response_method")]
            return f"make_scorer({inner(value._score_func)}, {', '.join(map(inner, parts))})"
        if isinstance(value, types.MethodType):
            return f"{inner(value.__func__)} of {type(value.__self__).__qualname__}"
        if isinstance(value, types.FunctionType):
            return self._function(value, inner)
        if is_dataclass(value):
            parts = [f"{f.name}={inner(getattr(value, f.name, None))}" for f in fields(value)]
            return f"{name}({', '.join(parts)})"
        if callable(value) and isinstance(known := getattr(value, "__name__", None), str):
            return known
        return _own_words(value, name)

    def _function(self, function: types.FunctionType, inner: Callable[[Any], str]) -> str:
        """Return a function's name and what is bound to it; a library's is what its name says."""
        function = cast(types.FunctionType, inspect.unwrap(function))
        name = function.__qualname__
        if function.__code__.co_filename.startswith(_LIBRARIES):
            return name
        self.code.append(_code(function.__code__, function.__doc__))
        bound = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for cell in function.__closure__ or ():
            try:
                bound.append(cell.cell_contents)
            except ValueError:  # not filled yet
                continue
        return f"{name} with {', '.join(map(inner, bound))}" if bound else name


def _code(code: types.CodeType, doc: str | None = None) -> str:
    """Return a text of what a function does: no lines, no files, no docstring."""
    constants = [_constant(each) for each in code.co_consts if doc is None or each != doc]
    return f"{code.co_code.hex()} {code.co_names} {' '.join(constants)}"


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset):  # whose order is another one in each process
        return " ".join(sorted(map(repr, cast("frozenset[Any]", value))))
    return repr(value)


def _own_words(value: Any, name: str) -> str:
    """Return an object's ``repr`` where that reads like the call that makes it, else its class."""
    try:
        text = repr(value)
    except Exception:  # it is only asked for its name
        return name
    called = text.partition("(")[0].rpartition(".")[2] == name.rpartition(".")[2]
    return text if called and " at 0x" not in text else name


def _hashed(value: Any) -> str:
    try:
        return str(joblib.hash(value))
    except Exception:  # what it holds cannot be pickled
        return str(getattr(value, "shape", ""))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}... {_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


__all__ = ["PYTHON", "Fingerprint", "fingerprint"]
