"""What ``luthier.insight`` says of a study, as plain data for the page; each costs a computation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from luthier.errors import LuthierError
from luthier.study.history import History

_MANY = 1500  # trials from which the importance is told by densities, which a second suffices for
_TOP = 30  # trials of a diagnosis that are named
_COUNTED = 2000  # trials whose curves are diagnosed


def importance(history: History) -> dict[str, Any]:
    """Return each hyperparameter's share with its interval, and by which method."""
    from luthier import insight

    method: Any = "fanova" if len(history.trials) <= _MANY else "ped_anova"
    found = insight.importance(history, method)
    return {"method": method, "rows": [dataclasses.asdict(i) for i in found]}


def boundary(history: History) -> dict[str, Any]:
    """Return the edges of the space that the best trials crowd."""
    from luthier.insight import boundary as edges

    return {"rows": [dataclasses.asdict(c) for c in edges.check(history)]}


def isolation(history: History, name: str) -> dict[str, Any]:
    """Return the best over all other hyperparameters for each value of *name*."""
    from luthier import insight

    found = insight.isolation(history, name)
    return {
        "name": found.roles.scientific,
        "metric": found.metric,
        "budget": found.budget,
        "epochs": found.epochs,
        "words": found.words,
        "rows": [dataclasses.asdict(v) for v in found.values],
    }


def enough(history: History) -> dict[str, Any]:
    """Return whether more trials would help, and the best of n trials."""
    from luthier import insight

    found = insight.enough(history)
    curve = found.curve[:: max(1, len(found.curve) // 100)]
    return {
        "words": found.words,
        "stop": found.stop,
        "chance": found.chance,
        "more": found.more,
        "curve": [dataclasses.asdict(b) for b in curve],
    }


def diagnosis(history: History) -> dict[str, Any]:
    """Return what the curves show, for the whole study and for its best trials."""
    from luthier.insight.diagnosis import diagnose

    found = diagnose(_recent(history))
    return {
        "length": found.length.action,
        "diagnosed": len(found.by_trial),
        "healthy": sum(not several for several in found.by_trial.values()),
        "findings": [
            {
                "kind": str(f.kind),
                "trials": list(f.trials[:_TOP]),
                "count": len(f.trials),
                "of": f.of,
                "top": f.top,
                "of_top": f.of_top,
                "action": f.action,
                "words": str(f),
            }
            for f in found.findings
        ],
        "top": [
            {"trial": n, "findings": [plain_finding(f) for f in found.by_trial.get(n, ())]}
            for n in found.top
        ],
    }


def _recent(history: History) -> History:
    """Return the history, or its best and newest trials where there are very many."""
    if len(history.trials) <= _COUNTED:
        return history
    best = [t.number for t in history.ranking()[: _COUNTED // 2]]
    newest = [t.number for t in history.trials[-_COUNTED // 2 :]]
    part = History()
    part.created, part.space = history.created, history.space
    part.trials = [history.trials[n] for n in sorted({*best, *newest})]
    return part


def plain_finding(finding: Any) -> dict[str, Any]:
    """Return a finding of one trial as plain data."""
    return {
        "kind": str(finding.kind),
        "epoch": finding.epoch,
        "evidence": finding.evidence,
        "action": finding.action,
        "confidence": round(finding.confidence, 2),
    }


LESSONS: dict[str, Callable[..., dict[str, Any]]] = {
    "importance": importance,
    "boundary": boundary,
    "isolation": isolation,
    "enough": enough,
    "diagnosis": diagnosis,
}


def lesson(history: History, what: str, name: str) -> dict[str, Any]:
    """Return one lesson; where there is too little to say anything it has ``why_not`` in words."""
    try:
        return LESSONS[what](history, name) if what == "isolation" else LESSONS[what](history)
    except LuthierError as error:
        return {"why_not": str(error)}
