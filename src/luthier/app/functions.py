"""Training functions that are named as MODULE:FUNCTION."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from luthier.errors import StudyError, nearest


def function_of(module: str, function: str) -> Callable[..., Any]:
    """Return *function* of *module*, which is looked for in the working directory first.

    Raises:
        StudyError: there is no such module, or it has no such function.
        Exception: whatever the module raises while it is imported; its traceback is the user's own.
    """
    here = str(Path.cwd())
    if not {"", here} & set(sys.path[:1]):
        sys.path.insert(0, here)
    if not all(part.isidentifier() for part in module.split(".")):
        raise StudyError(
            f"{module!r} is no module's name: expected one such as train, or nets.train."
        )
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there: what it imports is not
        hint = nearest(module, [path.stem for path in Path().glob("*.py")])
        raise StudyError(
            f"There is no module {module!r}, neither in {here} nor installed: expected a file such as "
            f"{module.replace('.', '/')}.py with a function {function!r}.{hint}"
        ) from None
    train = getattr(found, function, None)
    if callable(train):
        return train
    known = [n for n in vars(found) if callable(getattr(found, n)) and not n.startswith("_")]
    raise StudyError(f"Module {module!r} has no function {function!r}.{nearest(function, known)}")
