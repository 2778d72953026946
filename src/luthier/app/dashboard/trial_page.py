"""One trial, in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luthier.app.dashboard.columns import label, rounded, worker
from luthier.app.dashboard.curves import curves
from luthier.app.dashboard.lessons import plain_finding
from luthier.app.forms import _python as as_written  # pyright: ignore[reportPrivateUsage]
from luthier.app.forms import as_yaml
from luthier.study.goals import outcome
from luthier.study.history import History
from luthier.study.records import TrialRecord

_RIVALS = 5


def trial_page(history: History, number: int) -> dict[str, Any]:
    """Return a trial's configuration, results, curves beside those of its rivals, and its troubles."""
    from luthier.insight.diagnosis import diagnose

    trial = history.trials[number]
    ranking = [t.number for t in history.ranking()]
    rivals = [n for n in ranking if n != number][:_RIVALS]
    repeats = (
        [t.number for t in history.trials if t.repeats == number] if history.repetitions else []
    )
    note = history.notes.get(number)
    own = list(dict.fromkeys(name for names in trial.names for name in names))
    found = diagnose(trial, objective=history.objective) if trial.steps else ()
    return {
        "number": number,
        "state": str(trial.state),
        "value": rounded([history.value(trial.best_loss)])[0],
        "best_step": trial.best_step,
        "step": trial.step,
        "to_step": trial.to_step,
        "rank": ranking.index(number) + 1 if number in ranking else None,
        "of": len(ranking),
        "configuration": rows(history, trial),
        "yaml": as_yaml(trial.configuration),
        "python": written(trial.configuration),
        "outcomes": {m: rounded([outcome(trial, m)])[0] for m in own} if trial.steps else {},
        "curves": curves(history, own, [number]),
        "rivals": curves(history, [history.objective.metric], rivals),
        "repeats": trial.repeats,
        "repetitions": curves(history, [history.objective.metric], repeats),
        "parent": trial.parent,
        "children": [t.number for t in history.trials if t.parent == number][:50],
        "start": trial.start,
        "bracket": trial.bracket,
        "stage": trial.stage,
        "checkpoint": trial.checkpoint,
        "retries": dict(trial.retries),
        "why": trial.why,
        "kind": trial.kind,
        "traceback": trial.traceback,
        "worker": worker(trial),
        "began": trial.proposed_at,
        "ended": trial.ended_at,
        "last_sign": trial.last_sign or None,
        "seconds": rounded([sum(trial.seconds)])[0],
        "note": note.text if note else "",
        "note_who": note.who if note else "",
        "note_when": note.time if note else None,
        "diagnosis": [plain_finding(f) for f in found],
    }


def written(configuration: Mapping[str, Any]) -> str:
    """Return the configuration as a dictionary that Python reads: inf and nan are no names of its own."""
    pairs = (f"{name!r}: {as_written(value)}" for name, value in configuration.items())
    return f"{{{', '.join(pairs)}}}"


def rows(history: History, trial: TrialRecord) -> list[dict[str, Any]]:
    """Return the configuration beside that of the best trial, a row a hyperparameter."""
    best = history.best
    other = best.configuration if best is not None and best is not trial else None
    found: list[dict[str, Any]] = []
    for name, value in trial.configuration.items():
        theirs = label(other[name]) if other is not None and name in other else None
        found.append({"name": name, "value": label(value), "best": theirs})
    return found
