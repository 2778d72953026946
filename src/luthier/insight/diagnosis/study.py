"""A whole study diagnosed: what its trials show, the best ones above all, and what to change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from luthier.insight.diagnosis.comparing import Reached
from luthier.insight.diagnosis.curves import Curves
from luthier.insight.diagnosis.finding import Finding, Kind
from luthier.insight.diagnosis.length import TrainingLength, training_length
from luthier.insight.diagnosis.names import curves_of
from luthier.insight.diagnosis.run import findings
from luthier.study.history import History
from luthier.study.objective import Objective
from luthier.study.records import TrialRecord, TrialState

TOP_SHARE, FEWEST_TOP, MOST_TOP = 0.2, 3, 10  # which trials are the best ones
WORTH_SAYING = 0.3  # of the best trials
WORTH_SAYING_OF_ALL = {Kind.DIVERGING: 0.1, Kind.NOT_LEARNING: 0.1, Kind.TRAIN_LOSS_RISING: 0.05}
ACTIONS = {
    Kind.DIVERGING: "lower the upper end of the learning rate's range, or add warm-up and clipping",
    Kind.NOT_LEARNING: "raise the lower end of the learning rate's range; check initial weights",
    Kind.TRAIN_LOSS_RISING: "look for a bug in the training code before tuning on",
    Kind.STEP_TOO_LARGE: "let the learning rate decay in every trial: search over the schedule too",
    Kind.UNDERFITTING: "widen the space to larger nets and less regularisation",
    Kind.OVERFITTING: "widen the space to more regularisation (weight decay, dropout, augmentation), "
    "or get more data",
    Kind.STILL_IMPROVING: "give the best trials more epochs",
    Kind.SATURATED: "give trials fewer epochs, and try more of them",
    Kind.NOISY_VALIDATION: "validate on more examples: the ranking of the trials is partly luck",
}
_UNFINISHED = {TrialState.QUEUED, TrialState.RUNNING, TrialState.PAUSED, TrialState.STOPPED}


@dataclass(frozen=True)
class StudyFinding:
    """How many trials show one thing, and what to change in the space or the budget.

    Attributes:
        kind: what they show.
        trials: the numbers of those that show it, the best first.
        of: how many trials were diagnosed.
        top: how many of the best trials show it.
        of_top: how many best trials there are.
        action: what to change, in words.
    """

    kind: Kind
    trials: tuple[int, ...]
    of: int
    top: int
    of_top: int
    action: str

    @property
    def seen(self) -> str:
        """Return what it is and how many show it: 'diverging: 0 of the 5 best trials, 3 of 24 in all'."""
        best = f"{self.top} of the {self.of_top} best trials, " if self.of_top else ""
        return f"{self.kind}: {best}{len(self.trials)} of {self.of} in all"

    def __str__(self) -> str:
        return f"{self.seen}. To do: {self.action}."


@dataclass(frozen=True)
class StudyDiagnosis:
    """What the trials of a study show.

    Attributes:
        findings: what is worth saying of the whole study, the commonest among the best trials first.
        length: whether to train longer or shorter.
        by_trial: each trial's own findings, by its number; () for one that looks healthy.
        top: the numbers of the best trials, best first.
    """

    findings: tuple[StudyFinding, ...]
    length: TrainingLength
    by_trial: Mapping[int, tuple[Finding, ...]]
    top: tuple[int, ...]


def diagnose_trial(
    trial: TrialRecord,
    objective: Objective | None = None,
    *,
    classes: int | None = None,
) -> tuple[Finding, ...]:
    """Return what one trial's curves show, the gravest first; () when they look healthy.

    Of a trial that somebody else cut short nobody says that it should have gone on.
    """
    return _shown(trial, curves_of(trial, objective, classes=classes))


def _shown(trial: TrialRecord, known: Curves) -> tuple[Finding, ...]:
    found = findings(known)
    if trial.state is TrialState.DIVERGED and Kind.DIVERGING not in {f.kind for f in found}:
        action = "Divide the learning rate by 3 to 10; look at what was reported last"
        return (Finding(Kind.DIVERGING, trial.step, trial.why or "it diverged", action, 0.9),)
    if trial.state in _UNFINISHED:
        return tuple(f for f in found if f.kind is not Kind.STILL_IMPROVING)
    return found


def diagnose_study(history: History, *, classes: int | None = None) -> StudyDiagnosis:
    """Return what the trials of a study show, and what to change.

    A trial is said to underfit by comparison where another one reaches both a lower validation loss and,
    at that epoch, a lower training loss: then the latter is attainable.
    """
    ranking = history.ranking()
    reported = [trial for trial in history.trials if trial.steps]
    count = min(MOST_TOP, max(FEWEST_TOP, round(TOP_SHARE * len(reported))))
    top = ranking[:count]
    known = {t.number: curves_of(t, history.objective, classes=classes) for t in reported}
    reached = Reached.by(known.values())
    by_trial = {t.number: _shown(t, reached.measure(known[t.number])) for t in reported}
    order = {trial.number: rank for rank, trial in enumerate(ranking)}
    ranked = sorted(by_trial, key=lambda number: (order.get(number, math.inf), number))
    numbers = tuple(trial.number for trial in top)
    epochs = history.header.scheduler.get("epochs")
    return StudyDiagnosis(
        _summary(by_trial, ranked, numbers), training_length(top, epochs), by_trial, numbers
    )


def _summary(
    by_trial: Mapping[int, tuple[Finding, ...]], ranked: Sequence[int], top: tuple[int, ...]
) -> tuple[StudyFinding, ...]:
    found: list[StudyFinding] = []
    for kind in Kind:
        shows = tuple(n for n in ranked if any(f.kind is kind for f in by_trial[n]))
        among = sum(number in top for number in shows)
        often = bool(top) and among / len(top) >= WORTH_SAYING
        share = WORTH_SAYING_OF_ALL.get(kind, math.inf)
        if shows and (often or len(shows) / len(by_trial) >= share):
            found.append(StudyFinding(kind, shows, len(by_trial), among, len(top), ACTIONS[kind]))
    return tuple(sorted(found, key=lambda f: (-f.top, -len(f.trials))))
