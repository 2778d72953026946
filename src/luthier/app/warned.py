"""Luthier's warnings on the command line: a line each, without the place in the code that warned."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO

from luthier.errors import LuthierWarning


def show_plainly() -> None:
    """Have each of Luthier's warnings printed once, as ``luthier: warning: TEXT``, from now on.

    What other packages and the user's own code warn of stays as it is: there the place is what helps.
    """
    usual, shown = warnings.showwarning, set[str]()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, LuthierWarning):
            usual(message, category, filename, lineno, file, line)
        elif str(message) not in shown:
            shown.add(str(message))
            print(f"luthier: warning: {message}", file=file or sys.stderr)

    warnings.showwarning = show
