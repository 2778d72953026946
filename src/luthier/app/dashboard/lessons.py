"""What ``luthier.insight`` says of a study, as plain data for the page; each costs a computation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec

from luthier.app.dashboard.columns import rounded
from luthier.errors import LuthierError, nearest
from luthier.space import Bool, Choice, Constant, Domain, Space
from luthier.study.history import History

_MANY = 1500  # trials from which the importance is told by densities, which a second suffices for
_TOP = 30  # trials of a diagnosis that are named
_SLICED = 60  # hyperparameters that a surrogate is shown for
_SWEEPS = 8  # of a range test that are drawn
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

    rows = [dataclasses.asdict(c) for c in edges.check(history)]
    few = "" if rows else edges.too_few(history)
    return {"rows": rows} | ({"why_not": few} if few else {})


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


def surrogate(history: History) -> dict[str, Any]:
    """Return what a Gaussian process expects over each hyperparameter, the others as in the best trial.

    ``at`` has values as the page draws them: numbers, or for a choice the index of the option.
    """
    from luthier import insight

    rows: list[dict[str, Any]] = []
    searched = [(n, d) for n, d in history.space.domains.items() if not isinstance(d, Constant)]
    why_not = ""
    for name, domain in searched[:_SLICED]:
        try:
            found = insight.response(history, name)
        except LuthierError as error:  # one that was never active, say
            why_not = str(error)
            continue
        ends = {key: rounded(getattr(found, key).tolist()) for key in ("mean", "low", "high")}
        rows.append(
            {"name": name, "at": _values(domain, found.places), "around": found.around} | ends
        )
    return {"rows": rows} if rows else {"rows": [], "why_not": why_not}


def contour(history: History, name: str) -> dict[str, Any]:
    """Return what it expects over two hyperparameters; *name* has both, as a list in JSON."""
    from luthier import insight

    found = insight.contour(history, *_both(name))
    domains = history.space.domains
    return {
        "names": found.names,
        "across": _values(domains[found.names[0]], found.across),
        "up": _values(domains[found.names[1]], found.up),
        "mean": [rounded(row) for row in found.mean.tolist()],
        "width": [rounded(row) for row in found.width.tolist()],
        "around": found.around,
    }


def _both(name: str) -> tuple[str, str]:
    try:
        return msgspec.json.decode(name, type=tuple[str, str])
    except msgspec.MsgspecError as error:
        raise LuthierError(f"Expected the names of two hyperparameters, got {name!r}.") from error


def range_test(history: History) -> dict[str, Any]:
    """Return the learning-rate range test that was kept in the study, and what was read off it."""
    from luthier.craft.range_kept import kept

    found = kept(history)
    if found is None:
        return {"why_not": "No range test is kept in this study."}
    marks = ("steepest", "minimum", "divergence", "suggestion", "low", "high")
    return {
        "rates": rounded(found.rates.tolist()),
        "sweeps": [rounded(sweep) for sweep in found.losses[:_SWEEPS].tolist()],
        "of": len(found.losses),
        "smoothed": rounded(found.smoothed.tolist()),
        "marks": {name: rounded([getattr(found, name)])[0] for name in marks},
        "problem": found.problem or "",
        "words": found.explain(),
    }


def _values(domain: Domain, places: Any) -> list[float | None]:
    if isinstance(domain, Choice | Bool):
        return [float(i) for i in range(len(places))]
    return rounded([float(domain.decode(float(place))) for place in places])


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
    "surrogate": surrogate,
    "contour": contour,
    "range": range_test,
    "enough": enough,
    "diagnosis": diagnosis,
}
_NAMED = ("isolation", "contour")


def about(space: Space, what: str, name: str) -> str:
    """Return what a lesson is told under: the *name* that it needs, "" where it needs none.

    Raises:
        LuthierError: the space has nothing of that name.
    """
    if what not in _NAMED:
        return ""
    for one in _both(name) if what == "contour" else [name]:
        if one not in space.domains:
            raise LuthierError(f"The space has no {one!r}.{nearest(one, space.domains)}")
    return name


def lesson(history: History, what: str, name: str) -> dict[str, Any]:
    """Return one lesson; where there is too little to say anything it has ``why_not`` in words."""
    try:
        return LESSONS[what](history, name) if what in _NAMED else LESSONS[what](history)
    except LuthierError as error:
        return {"why_not": str(error)}
