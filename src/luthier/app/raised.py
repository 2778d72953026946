"""What the user's own program raises, taken past click, which has meanings of its own for some of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from luthier.errors import LuthierError


class Raised(Exception):
    """Holds what the user's program has raised, until the command line has its traceback printed.

    click takes EOFError for Ctrl-C, ends silently at a closed pipe, and has exceptions of its own, which a
    program may raise as well.

    Attributes:
        error: what was raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error = error


@contextmanager
def users_program() -> Generator[None]:
    """Have what the user's program raises within the block leave it as ``Raised``.

    Errors of Luthier's about how it was called stay as they are: they say what to do in a line. Those that
    the training code has raised, such as by a hyperparameter that is none, are the program's.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, LuthierError) and not error.in_training:
            raise
        raise Raised(error) from error
