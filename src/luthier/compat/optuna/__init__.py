"""Optuna's door: ``import luthier.compat.optuna as optuna``, and the script runs on Luthier.

The study is a study of Luthier's, in its store, with its searchers and rules; the words are Optuna's.
``docs/migration.md`` lists what is supported and what is not.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from luthier.compat.optuna import (
    distributions,
    exceptions,
    logging,
    pruners,
    samplers,
    storages,
    study,
    trial,
)
from luthier.compat.optuna.callbacks import MaxTrialsCallback
from luthier.compat.optuna.exceptions import DuplicatedStudyError, TrialPruned
from luthier.compat.optuna.making import (
    StudySummary,
    copy_study,
    create_study,
    get_all_study_names,
    get_all_study_summaries,
    load_study,
)
from luthier.compat.optuna.missing import absent
from luthier.compat.optuna.samplers import RandomSampler, TPESampler
from luthier.compat.optuna.study import Study, StudyDirection
from luthier.compat.optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from luthier.version import __version__


def __getattr__(name: str) -> Any:
    if name == "importance":  # heavy, and only for those who ask
        return import_module("luthier.compat.optuna.importance")
    return absent("", lambda: [*__all__, "importance"])(name)


__all__ = [
    "DuplicatedStudyError",
    "FrozenTrial",
    "MaxTrialsCallback",
    "RandomSampler",
    "Study",
    "StudyDirection",
    "StudySummary",
    "TPESampler",
    "Trial",
    "TrialPruned",
    "TrialState",
    "__version__",
    "copy_study",
    "create_study",
    "create_trial",
    "distributions",
    "exceptions",
    "get_all_study_names",
    "get_all_study_summaries",
    "load_study",
    "logging",
    "pruners",
    "samplers",
    "storages",
    "study",
    "trial",
]
