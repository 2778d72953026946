"""What a module of Optuna's has and this door has not, said by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from luthier.errors import nearest

_DOOR = "luthier.compat.optuna"
_INSTEAD = {
    "delete_study": "delete the store's file, or take another study_name",
    "visualization": "study.own has figures, and luthier report STUDY draws them",
    "integration": "luthier.keras, luthier.torch and their like take a trial",
    "artifacts": "write a file of your own, and its path with trial.set_user_attr",
    "terminator": "study.stop() in a callback, or study.optimize(timeout=...)",
}


def absent(module: str, known: Callable[[], Iterable[str]]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for *module* ("" for the door itself), which has the names in *known*.

    It raises AttributeError.
    """
    where = f"{_DOOR}.{module}" if module else _DOOR

    def get(name: str) -> Any:
        # Python itself looks for names such as __path__.
        hint = "" if name.startswith("__") else nearest(name, known())
        raise AttributeError(_words(where, name, hint))

    return get


def module_absent(name: str) -> ImportError:
    """Return what is raised where a script imports a module of Optuna's that this door has not."""
    return ImportError(_words(_DOOR, name), name=f"{_DOOR}.{name}")


def _words(where: str, name: str, hint: str = "") -> str:
    hint = f" Instead: {_INSTEAD[name]}." if name in _INSTEAD else hint
    return (
        f"{where} has no {name!r}: docs/migration.md lists what it has.{hint} Optuna itself reads "
        "what luthier export STUDY --to optuna.db writes."
    )


__all__ = ["absent", "module_absent"]
