"""The one family of errors and the one warning that Luthier raises."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LuthierError(Exception):
    """Any error that Luthier raises on purpose: it says what was wrong, what was expected, what to do.

    Attributes:
        in_training: it has come out of the training code of a trial, where its traceback tells the line.
    """

    in_training = False


class SpaceError(LuthierError, ValueError):
    """A search space, a hyperparameter or a configuration that cannot be what was written."""


class StudyError(LuthierError, ValueError):
    """A study that cannot do what was asked: another space, another objective, a bad report."""


class StudyFinished(StudyError):
    """A study that was asked for a trial and has none to give any more."""


class StorageError(LuthierError, OSError):
    """A store that cannot be opened, read or written."""


class StoreMissingError(StorageError):
    """There is no store yet where one was to be read."""


class DataError(LuthierError, OSError):
    """A data set that is missing, half downloaded or damaged."""


class CheckpointError(LuthierError, OSError):
    """A checkpoint that is missing, incomplete or damaged."""


class Infeasible(LuthierError, RuntimeError):
    """Raised by training code: this configuration cannot be trained, go on with others.

    The trial has failed, with the words of the exception; searchers learn from it where not to look.
    ``except nets.TooDeep as error: raise luthier.Infeasible(str(error)) from error``. Any other error ends the
    study, since it is most often a bug.
    """


class TrialError(LuthierError, RuntimeError):
    """The user's training code raised in a worker process; the message holds its own traceback."""


class TrialEnded(LuthierError, RuntimeError):
    """A report on a trial that has already ended (diverged, been stopped, or completed)."""


class LuthierWarning(UserWarning):
    """Something that works but that an experienced tuner would not do."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known word closest to *word* in any case, or an empty string."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
