"""Learning curves of many trials together."""

from __future__ import annotations

import math
from typing import Any

from luthier.errors import StudyError, nearest
from luthier.insight.drawing import GREY, axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.trials import Source, history_of
from luthier.study.history import History

_MOST = 400  # lines: more are a grey surface


def curves(source: Source, metric: str | None = None, top: int = 5) -> Any:
    """Return a metric over the epochs, the best trials in colour and all others grey.

    Of more than 400 other trials every second, third, … is drawn, and the title says so.

    Args:
        source: a study or its history.
        metric: any that was reported; by default the objective.
        top: how many of the best trials are in colour.

    Raises:
        StudyError: no trial reported *metric*, or *top* is below 0.
    """
    history = history_of(source)
    metric = history.objective.metric if metric is None else metric
    if top < 0:
        raise StudyError(f"top must be 0 or more, got {top!r}.")
    _check(history, metric)
    ranked = [t.number for t in history.ranking()][:top]
    others = [t for t in history.trials if t.steps and t.repeats < 0 and t.number not in ranked]
    every = -(-len(others) // _MOST) or 1
    axes = axes_or_new(None)
    for i, trial in enumerate(others[::every]):
        label = "others" if i == 0 else None
        axes.plot(
            *_line(trial.steps, trial.curve(metric)), color=GREY, lw=0.8, alpha=0.5, label=label
        )
    for number in ranked[::-1]:
        trial = history.trials[number]
        marker = "o" if len(trial.steps) == 1 else None
        axes.plot(
            *_line(trial.steps, trial.curve(metric)), lw=1.8, marker=marker, label=f"trial {number}"
        )
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(plain(metric))
    thinned = f" (1 in {every} of the others)" if every > 1 else ""
    axes.set_title(f"Learning curves{thinned}")
    if ranked or others:
        axes.legend(fontsize=8)
    return axes.figure


def _check(history: History, metric: str) -> None:
    known = list(dict.fromkeys(n for t in history.trials for names in t.names for n in names))
    if known and metric not in known:
        raise StudyError(
            f"No trial reported {metric!r}; reported: {', '.join(map(repr, known))}."
            f"{nearest(metric, known)}"
        )


def _line(steps: Any, values: list[float]) -> tuple[list[int], list[float]]:
    """Return the places and values that can be drawn."""
    kept = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]
    return [s for s, _ in kept], [v for _, v in kept]
