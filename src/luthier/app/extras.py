"""What an extra of the package brings, and what is said where it is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from luthier.errors import LuthierError


@contextlib.contextmanager
def installed(what: str, extra: str) -> Generator[None]:
    """Say how to install *extra* when an import inside fails; *what* needs it, in words.

    Raises:
        LuthierError: a module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise LuthierError(
            f"{what} needs {error.name}, which is not installed: pip install 'luthier[{extra}]'"
        ) from error
