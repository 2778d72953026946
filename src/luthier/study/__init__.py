"""A study: its events, its history, its trials, and the door to them."""

from luthier.study.history import History
from luthier.study.objective import Objective
from luthier.study.records import TrialRecord, TrialState
from luthier.study.study import Job, Study
from luthier.study.trial import Resumable, Trial

__all__ = [
    "History",
    "Job",
    "Objective",
    "Resumable",
    "Study",
    "Trial",
    "TrialRecord",
    "TrialState",
]
