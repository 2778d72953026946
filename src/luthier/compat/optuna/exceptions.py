"""Optuna's exceptions by their own names; all are Luthier's errors, too."""

from __future__ import annotations

from luthier.compat.optuna.missing import absent
from luthier.errors import LuthierError, LuthierWarning, StudyError


class OptunaError(LuthierError):
    """Any error of this door that Optuna has a name for."""


class TrialPruned(OptunaError):
    """What an objective raises when ``trial.should_prune()`` says so."""


class DuplicatedStudyError(OptunaError, StudyError):
    """There is a study of that name already."""


class AlreadyTold(OptunaError, StudyError, RuntimeError):
    """The trial has ended already."""


class UpdateFinishedTrialError(OptunaError, StudyError, RuntimeError):
    """A trial that has ended was to be changed."""


class NoSuchStudy(OptunaError, StudyError, KeyError):
    """There is no study of that name."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class SeveralObjectives(OptunaError, StudyError, NotImplementedError):
    """Reports and pruning are for studies with one objective."""


class NotANumber(OptunaError, StudyError, TypeError):
    """A value to report that is no number."""


class StorageInternalError(OptunaError):
    """A store that cannot be read or written."""


class ExperimentalWarning(LuthierWarning):
    """Optuna warns so of what may change; this door does not."""


__all__ = [
    "AlreadyTold",
    "DuplicatedStudyError",
    "ExperimentalWarning",
    "NoSuchStudy",
    "NotANumber",
    "OptunaError",
    "SeveralObjectives",
    "StorageInternalError",
    "TrialPruned",
    "UpdateFinishedTrialError",
]
__getattr__ = absent("exceptions", lambda: __all__)
