"""The command that a study tunes, kept in its log: with other fixed words the same script is another task."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.errors import LuthierWarning
from luthier.study.known import COMMAND
from luthier.study.study import Study


def keep_command(study: Study, train: Any, stacklevel: int) -> None:
    """Write down the command that *train* runs, where it runs one; warn if the study was made with another.

    Args:
        study: where the command is kept, as a list of words with places such as ``{lr}`` in them.
        train: the training code.
        stacklevel: of the warning.
    """
    if not hasattr(train, "command"):
        return
    from luthier.train.script.command import Command

    command: Any = train.command
    if not isinstance(command, Command):
        return  # somebody's own training code
    words, known = list(command.arguments), study.history.attributes.get(-1, {}).get(COMMAND)
    if known is None or study.history.barren:  # nothing came of another one
        study.set_attribute(COMMAND, words)
    elif isinstance(known, list) and known and _said(known) != _said(words):  # pyright: ignore[reportUnknownArgumentType]
        warnings.warn(
            f"Study {study.name!r} was made with the command {_said(known)!r}, and this one is "  # pyright: ignore[reportUnknownArgumentType]
            f"{_said(words)!r}: what was tried with that one counts as if it were of this one. Give another "
            "--study NAME if it is not.",
            LuthierWarning,
            stacklevel=stacklevel,
        )


def _said(words: Sequence[Any]) -> str:
    """Return the command as one would type it, whichever Python it is run by."""
    first, *others = map(str, words)
    return shlex.join([*([] if is_python(first) else [first]), *others])


def is_python(word: str) -> bool:
    """Return whether a command that begins with *word* is run by Python."""
    return Path(word).name.startswith("python")
