"""What a study is and how it stands, in a few numbers and words."""

from __future__ import annotations

import time
from typing import Any

from luthier.app import reading, words
from luthier.app.dashboard.columns import described, rounded
from luthier.app.dashboard.curves import metrics_of
from luthier.craft.stages import story
from luthier.insight.ladder import plan_of
from luthier.insight.race import race
from luthier.space import Space
from luthier.study.history import History
from luthier.study.records import TrialState
from luthier.study.words import copies, rules_broken

_SPARKS = 40


def listed(name: str, history: History) -> dict[str, Any]:
    """Return a study's line in the list of studies."""
    best = reading.finite_best(history)
    note = history.notes.get(-1)
    return {
        "name": name,
        "objective": str(history.goals),
        "state": reading.activity(history),
        "counts": {str(state): count for state, count in history.counts().items()},
        "trials": len(history.trials),
        "repetitions": len(history.repetitions),
        "copies": copies(history),
        "epochs": history.epochs,
        "max_trials": history.limits.trials,
        "max_epochs": history.limits.epochs,
        "best": None if best is None else rounded([history.value(best.best_loss)])[0],
        "best_trial": None if best is None else best.number,
        "best_breaks": rules_broken(history),
        "created": history.header.time,
        "last_sign": history.last_time,
        "stage": history.stages[-1].name if history.stages else "",
        "note": note.text if note else "",
        "spark": sparks(history),
    }


def sparks(history: History) -> list[float | None]:
    """Return the best value so far over the trials, at 40 of them at most.

    Neither repetitions nor what breaks a constraint can be the best.
    """
    best = float("inf")
    curve: list[float] = []
    for trial in history.trials:
        spoilt = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
        if trial.repeats < 0 and not trial.violation and not spoilt:
            best = min(best, trial.best_loss)
        curve.append(history.value(best))
    count = min(_SPARKS, len(curve))
    return rounded([curve[(i + 1) * len(curve) // count - 1] for i in range(count)])


def summary(history: History) -> dict[str, Any]:
    """Return what the study's page needs besides its trials."""
    header, goals = history.header, history.goals
    until = history.until
    return {
        **listed(header.name, history),
        "objectives": [{"metric": o.metric, "direction": o.direction} for o in goals.objectives],
        "constraints": [
            {"metric": c.metric, "sign": c.sign, "bound": c.bound} for c in goals.constraints
        ],
        "metrics": metrics_of(history),
        "space": described(history.space),
        "first_space": described(Space.from_dict(header.space)),
        "searcher": settings(header.searcher),
        "scheduler": settings(header.scheduler),
        "seed": header.seed,
        "version": header.luthier,
        "held": history.held,
        "held_why": history.held_why,
        "until": until,
        "queue": [words.configuration(c) for c in history.queue[:20]],
        "front": [t.number for t in history.front()] if len(goals.objectives) > 1 else [],
        "failures": dict(reading.failures(history)),
        "returns": dict(reading.returns(history)),
        "late_reports": history.late_reports,
        "notes": [
            {"trial": n, "text": note.text, "who": note.who, "time": note.time}
            for n, note in history.notes.items()
        ],
        "story": story(history),
        "stages": [_stage(history, i) for i in range(len(history.stages))],
        "race": _race(history),
        "test_reads": [
            {"trial": r.trial, "values": r.values, "who": r.who, "time": r.time}
            for r in history.test_reads
        ],
        "plan": _plan(history),
        "now": time.time(),
    }


def settings(described: dict[str, Any]) -> str:
    """Return a searcher or scheduler as it is written: its name, and what was set."""
    rest = ", ".join(f"{k}={v!r}" for k, v in described.items() if k != "name" and v is not None)
    name = str(described.get("name", ""))
    return f"{name} ({rest})" if rest else name


def _plan(history: History) -> dict[str, Any] | None:
    plan = plan_of(history)
    if plan is None:
        return None
    lines = words.plan_lines(plan)[:12] if plan.brackets else []
    # A race trains nothing that the search has not tried, but its epochs are spent from the same budget.
    epochs = None if plan.to_end else plan.epochs  # nobody has said how long a training is
    return {"trials": plan.searched, "epochs": epochs, "word": plan.word, "lines": lines}


def _stage(history: History, index: int) -> dict[str, Any]:
    record = history.stages[index]
    begun, concluded = record.begun, record.concluded
    return {
        "name": begun.name,
        "hyperparameters": begun.hyperparameters,
        "live": begun.live,
        "narrowed": {name: list(ends) for name, ends in begun.narrowed.items()},
        "reason": begun.reason,
        "planned": begun.trials,
        "trials": record.trials,
        "first": record.first,
        "best": -1 if concluded is None else concluded.best,
        "words": record.conclusion,
        "dead": [] if concluded is None else concluded.dead,
        "effects": {}
        if concluded is None
        else {
            name: {"share": e.share, "gain": e.gain, "low": e.low, "high": e.high}
            for name, e in concluded.effects.items()
        },
    }


def _race(history: History) -> dict[str, Any] | None:
    result = race(history)
    if result is None:
        return None
    finalists = [
        {
            "trial": f.trial,
            "found": f.found,
            "values": list(f.values),
            "mean": f.mean,
            "low": f.low,
            "high": f.high,
            "p": f.p,
            "why": f.why,
            "dropped": f.dropped,
        }
        for f in result.finalists
    ]
    return {
        "finalists": finalists,
        "over": result.over,
        "rounds": result.rounds,
        "words": words.race_lines(result, history.objective.metric),
    }
