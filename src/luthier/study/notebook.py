"""HTML for notebooks: how a study stands, and one trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from luthier.space.notebook import box, dim, table
from luthier.study.history import History
from luthier.study.words import rules_broken, tried

_BEST = 5
_WIDTH, _HEIGHT = 240, 44
_POINTS = 200


def study_html(name: str, history: History) -> str:
    """Return a study in a frame: how many trials ended how, the best so far, the best trials."""
    counts = ", ".join(f"{n} {state}" for state, n in history.counts().items())
    ended = f" ({counts})" if counts else ""
    ranked = history.ranking()[:_BEST]
    parts = [dim(f"{history.goals}; {history.epochs} epochs; {tried(history)}{ended}")]
    if history.held:
        parts.append(dim(f"{history.held} by hand {history.held_why}"))
    parts.append(curve(best_so_far(history)))
    if rules := rules_broken(history):
        parts.append(dim(f"No trial keeps to {rules}; the first one comes closest."))
    if ranked:
        names = [n for n in history.space.searched if any(n in t.configuration for t in ranked)]
        rows = [
            [
                t.number,
                short(history.value(t.best_loss)),
                t.best_step,
                *(short(t.configuration.get(n, "–")) for n in names),
            ]
            for t in ranked
        ]
        parts.append(table(["trial", history.objective.metric, "epoch", *names], rows))
    else:
        parts.append(dim("No trial has a finite value yet."))
    return box(f"Study {name}", *parts)


def trial_html(number: int, said: str, configuration: Mapping[str, Any]) -> str:
    """Return a trial in a frame: how it stands in words, and its configuration."""
    rows = [(name, short(value)) for name, value in configuration.items()]
    return box(f"Trial {number}", dim(said), table(["hyperparameter", "value"], rows))


def best_so_far(history: History) -> list[float]:
    """Return the best value after each trial, as it is reported; from the first finite one on."""
    best, found = math.inf, list[float]()
    for trial in history.trials:
        if trial.repeats < 0 and not trial.violation and str(trial.state) not in _SPOILT:
            best = min(best, trial.best_loss)
        if math.isfinite(best):
            found.append(history.value(best))
    return found


_SPOILT = ("diverged", "failed")


def curve(values: Sequence[float]) -> str:
    """Return values as a small line; '' for fewer than two."""
    if len(values) < 2:
        return ""
    thinned = [values[i * (len(values) - 1) // (_POINTS - 1)] for i in range(_POINTS)]
    shown = list(values) if len(values) <= _POINTS else thinned
    low, high = min(shown), max(shown)
    scale = max(abs(low), abs(high)) or 1.0  # the range itself may exceed a float's
    span = (high / scale - low / scale) or 1.0
    points = " ".join(
        f"{2 + (_WIDTH - 4) * i / (len(shown) - 1):.1f},"
        f"{_HEIGHT - 3 - (_HEIGHT - 6) * (v / scale - low / scale) / span:.1f}"
        for i, v in enumerate(shown)
    )
    label = f"best so far, from {short(values[0])} to {short(values[-1])}"
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}" '
        f'style="display:block"><polyline points="{points}" fill="none" stroke="currentColor" '
        f'stroke-width="1.5"/></svg>{dim(label)}'
    )


def short(value: Any) -> str:
    """Return a number with four digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
