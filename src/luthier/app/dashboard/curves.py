"""Learning curves for the page: a choice of trials, each thinned to what a picture shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from luthier.app.dashboard.columns import rounded
from luthier.study.history import History
from luthier.study.records import TrialRecord

MOST_CURVES = 300
_MOST_POINTS = 400


def metrics_of(history: History) -> list[str]:
    """Return the names of what trials reported, those of the objectives first."""
    known = dict.fromkeys(history.goals.metrics)
    trials = history.trials
    looked_at = trials if len(trials) <= 200 else [*trials[:100], *trials[-100:]]
    for trial in looked_at:
        for names in (trial.names[:1] + trial.names[-1:]) if trial.steps else []:
            known.update(dict.fromkeys(names))
    return list(known)


def chosen(history: History, most: int = MOST_CURVES) -> list[int]:
    """Return the trials whose curves tell the most: those under way, the best, an even choice of the rest."""
    trials = [t for t in history.trials if t.steps]
    if len(trials) <= most:
        return [t.number for t in trials]
    under_way = [t.number for t in trials if not t.state.ended][-most // 4 :]
    best = [t.number for t in history.ranking()[: most // 3]]
    kept = dict.fromkeys([*under_way, *best])
    rest = [t.number for t in trials if t.number not in kept]
    room = most - len(kept)
    kept.update(dict.fromkeys(rest[i * len(rest) // room] for i in range(room)))
    return sorted(kept)


def curves(
    history: History, metrics: Sequence[str], numbers: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return the curves of *metrics*: for each trial its steps, seconds trained, and each metric's values.

    ``steps`` is a number n where they are 1 to n. A trial without reports is left out.
    """
    numbers = chosen(history) if numbers is None else numbers
    trials = [history.trials[n] for n in numbers]
    trials = [t for t in trials if t.steps]
    kept = [_kept(t) for t in trials]
    return {
        "trials": [t.number for t in trials],
        "steps": [_steps(t, at) for t, at in zip(trials, kept, strict=True)],
        "seconds": [_seconds(t, at) for t, at in zip(trials, kept, strict=True)],
        "values": {
            metric: [_values(t, metric, at) for t, at in zip(trials, kept, strict=True)]
            for metric in metrics
        },
        "of": sum(1 for t in history.trials if t.best_step or t.steps),
    }


def _kept(trial: TrialRecord) -> list[int]:
    """Return which reports are drawn: all, or the least and greatest loss of each of many spans."""
    count = len(trial.steps)
    if count <= _MOST_POINTS:
        return list(range(count))
    spans = _MOST_POINTS // 2
    found = {0, count - 1}
    for span in range(spans):
        inside = range(span * count // spans, (span + 1) * count // spans)
        finite = [i for i in inside if math.isfinite(trial.losses[i])] or inside
        found.add(min(finite, key=trial.losses.__getitem__))
        found.add(max(finite, key=trial.losses.__getitem__))
    return sorted(found)


def _steps(trial: TrialRecord, kept: Sequence[int]) -> list[int] | int:
    steps = [trial.steps[i] for i in kept]
    return len(steps) if steps == list(range(1, len(steps) + 1)) else steps


def _seconds(trial: TrialRecord, kept: Sequence[int]) -> list[float | None]:
    passed = list(accumulate(trial.seconds))
    return rounded([passed[i] for i in kept])


def _values(trial: TrialRecord, metric: str, kept: Sequence[int]) -> list[float | None]:
    curve = trial.curve(metric)
    return rounded([curve[i] for i in kept])
