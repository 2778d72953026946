"""Learning curves diagnosed in words: what ails a run or a study, and what to do next.

One small file a rule, each a pure function of ``Curves``. The rules follow Google's Deep Learning
Tuning Playbook, Smith 2018 (arXiv:1803.09820) and Andrew Ng's diagnostics of bias and variance
(Machine Learning Yearning, chapters 20-32).
"""

from __future__ import annotations

from typing import overload

from luthier.errors import StudyError
from luthier.insight.diagnosis.curves import Curves, curves
from luthier.insight.diagnosis.finding import Finding, Kind
from luthier.insight.diagnosis.length import TrainingLength, training_length
from luthier.insight.diagnosis.names import curves_of
from luthier.insight.diagnosis.run import findings
from luthier.insight.diagnosis.study import (
    StudyDiagnosis,
    StudyFinding,
    diagnose_study,
    diagnose_trial,
)
from luthier.insight.trials import Source, history_of
from luthier.study.history import History
from luthier.study.objective import Objective
from luthier.study.records import TrialRecord
from luthier.study.study import Study

__all__ = [
    "Curves",
    "Finding",
    "Kind",
    "StudyDiagnosis",
    "StudyFinding",
    "TrainingLength",
    "curves",
    "curves_of",
    "diagnose",
    "findings",
    "training_length",
]


@overload
def diagnose(
    what: TrialRecord | Curves, *, objective: Objective | None = None, classes: int | None = None
) -> tuple[Finding, ...]: ...
@overload
def diagnose(
    what: Source, *, objective: Objective | None = None, classes: int | None = None
) -> StudyDiagnosis: ...
def diagnose(
    what: TrialRecord | Curves | Source,
    *,
    objective: Objective | None = None,
    classes: int | None = None,
) -> tuple[Finding, ...] | StudyDiagnosis:
    """Say what learning curves show, with evidence and a next action.

    Args:
        what: a trial of a study (``study.trials[3]``), bare ``curves(...)``, or a whole study
            (or what a search returned).
        objective: what a single trial is judged by; by default guessed from the metrics' names. A
            study knows its own.
        classes: how many classes a classifier tells apart, which makes the level of guessing exact.

    Raises:
        StudyError: *what* is none of these.
    """
    if isinstance(what, Curves):
        return findings(what)
    if isinstance(what, TrialRecord):
        return diagnose_trial(what, objective, classes=classes)
    if isinstance(what, Study | History) or isinstance(getattr(what, "study", None), Study):
        return diagnose_study(history_of(what), classes=classes)
    raise StudyError(
        f"diagnose() reads a study, one of its trials, or curves(train_loss=..., ...), got {what!r}."
    )
