"""Parallel coordinates: a trial is a line across all hyperparameters, to its value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.errors import StudyError
from luthier.insight.drawing import GREY, axes_or_new
from luthier.insight.labelling import plain, shortened, told_apart
from luthier.insight.trials import Source, history_of, tried
from luthier.space import Domain
from luthier.study.history import History

_MOST = 500
_SEEN = 0.9  # of the trials meet the objective's axis within its ends


def parallel(source: Source, top: float = 0.1) -> Any:
    """Return every trial as a line across the hyperparameters, each on its own scale, to its value.

    With several objectives the value is that of the first one, and the best are those on the front.
    The best share is in colour, the best of all darkest; the 500 best trials are drawn at most. Where a
    hyperparameter was inactive the line breaks.

    Args:
        source: a study or its history.
        top: share of the trials in colour, in (0, 1].

    Raises:
        StudyError: *top* is no such share, nothing is searched, or no trial has a finite value.
    """
    if not 0 < top <= 1:
        raise StudyError(f"top must be a share in (0, 1], got {top!r}.")
    history, found = history_of(source), tried(source)
    columns = found.columns
    if not columns.dimension:
        raise StudyError("The space has no hyperparameter that is searched.")
    from matplotlib import colormaps

    finite = np.flatnonzero(np.isfinite(found.losses))
    order = finite[np.argsort(found.losses[finite], kind="stable")][:_MOST]
    if not len(order):
        raise StudyError("There is no trial with a finite value to draw yet.")
    coloured = min(len(order), max(1, round(top * len(finite))))
    axes = axes_or_new(None, width=max(7.0, 1.2 * (columns.dimension + 1)))
    blues = colormaps["viridis"]
    at = range(columns.dimension + 1)
    trials = [history.trials[int(number)] for number in found.numbers[order]]
    heights, ends = _objective(history, [trial.best_loss for trial in trials])
    for rank in range(len(order) - 1, -1, -1):
        chosen = rank < coloured
        colour = blues(0.85 * rank / coloured) if chosen else GREY
        axes.plot(at, [*found.points[order[rank]], heights[rank]], color=colour,
                  lw=1.5 if chosen else 0.5, alpha=0.9 if chosen else 0.3)  # fmt: skip
    named = [_ends(domain) for domain in columns.domains]
    for x, (low, high) in enumerate([*named, ends]):
        axes.axvline(x, color="#222222", lw=0.8)
        for height, text in ((0.0, low), (1.0, high)):
            below = height == 0.0
            axes.annotate(text, (x, height), (0, -4 if below else 4), textcoords="offset points",
                          ha="center", va="top" if below else "bottom", fontsize=7)  # fmt: skip
    metric = history.objective.metric
    axes.set_xticks(at, list(map(plain, [*columns.names, metric])), rotation=25, ha="right")
    axes.tick_params(axis="x", pad=12)
    axes.set_yticks([])
    axes.set_ylim(-0.02, 1.02)
    for spine in axes.spines.values():
        spine.set_visible(False)
    by = f"The best {coloured} of {len(finite)} trials by {' and '.join(history.goals.metrics)}, in colour"
    others = f"; those after the first {len(order)} are left out" * (len(order) < len(finite))
    axes.set_title(plain(by + others), pad=18)
    return axes.figure


def _objective(history: History, losses: Sequence[float]) -> tuple[list[float], tuple[str, str]]:
    """Return where each trial meets the objective's axis, and what stands at the axis's ends.

    The worst tenth meets it at its end: one that went astray would press all others together.

    Args:
        history: of the study.
        losses: as they were reported, by the first objective, finite. With several objectives, bounds or
            trainings of different length the trials' order is another one.
    """
    values = [history.value(loss) for loss in losses]
    worst = history.value(float(np.quantile(losses, _SEEN)))
    low, high = sorted((history.value(min(losses)), worst))
    heights = [min(1.0, max(0.0, (v - low) / (high - low))) if high > low else 0.5 for v in values]
    texts = told_apart([low, high])
    if high > low and (beyond := [v for v in values if not low <= v <= high]):
        texts[int(beyond[0] > high)] += " or worse"
    return heights, (texts[0], texts[1])


def _ends(domain: Domain) -> tuple[str, str]:
    """Return what stands at the lower and the upper end of a hyperparameter's axis."""
    low, high = told_apart([domain.decode(0.0), domain.decode(1.0)])
    return shortened(low), shortened(high)
