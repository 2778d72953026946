"""How the best value came down: over trials, over epochs or over time."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any, Literal

from luthier.errors import StudyError, nearest
from luthier.insight.drawing import FILL, GREY, MARK, axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.trials import Source, history_of
from luthier.study.history import History
from luthier.study.records import TrialRecord

By = Literal["trials", "epochs", "seconds"]
_LABELS = {
    "trials": "trials that ended",
    "epochs": "epochs trained by them",
    "seconds": "seconds since the first trial began",
}


def progress(source: Source, by: By = "trials") -> Any:
    """Return the value of each trial and the best so far, with the stages of a staged study as bands.

    Trials stand in the order in which they ended. Those without a finite value are ticks at the bottom.

    Args:
        source: a study or its history.
        by: ``"trials"``, ``"epochs"`` (of all trials up to there) or ``"seconds"`` (since the first
            one was proposed).

    Raises:
        StudyError: *by* is something else, or matplotlib is not installed.
    """
    if by not in _LABELS:
        raise StudyError(
            f"by={by!r}: expected 'trials', 'epochs' or 'seconds'.{nearest(str(by), _LABELS)}"
        )
    history = history_of(source)
    ended = sorted(
        (t for t in history.trials if t.ended_at is not None and t.repeats < 0),
        key=lambda t: (t.ended_at, t.number),
    )
    at = _places(history, ended, by)
    finite = [(x, t) for x, t in zip(at, ended, strict=True) if _finite(t)]
    kept = [(x, t) for x, t in finite if not t.violation]
    axes = axes_or_new(None)
    values = [history.value(t.best_loss) for _, t in finite]
    stopped = [t.state.value == "stopped" for _, t in finite]
    places = [x for x, _ in finite]
    for kind, colour, label in ((False, FILL, "trained to its end"), (True, GREY, "stopped early")):
        chosen = [i for i, (_, t) in enumerate(finite) if stopped[i] is kind and not t.violation]
        if chosen:
            axes.plot([places[i] for i in chosen], [values[i] for i in chosen], "o", ms=4,
                      color=colour, alpha=0.6, label=label)  # fmt: skip
    beyond = [i for i, (_, t) in enumerate(finite) if t.violation]
    if beyond:
        rules = plain(f"not {' and '.join(map(str, history.goals.constraints))}")
        axes.plot([places[i] for i in beyond], [values[i] for i in beyond], "x", ms=6, color=MARK,
                  alpha=0.6, label=rules)  # fmt: skip
    best = list(accumulate((t.best_loss for _, t in kept), min))
    if best:
        line = [history.value(loss) for loss in best]
        where = [*(x for x, _ in kept), *at[-1:]]
        axes.step(where, [*line, line[-1]], where="post", color=MARK, label="best so far")
    lost = [x for x, t in zip(at, ended, strict=True) if not _finite(t)]
    if lost:
        axes.plot(lost, [0.02] * len(lost), "|", color=MARK, ms=9, label="diverged or failed",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    _bands(history, ended, at, axes)
    _limits(axes, values, high_is_good=history.objective.direction == "maximize")
    if by != "seconds":
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(_LABELS[by])
    axes.set_ylabel(plain(history.objective.metric))
    axes.set_title("Best so far")
    if ended:
        axes.legend(fontsize=8)
    return axes.figure


def _places(history: History, ended: list[TrialRecord], by: By) -> list[float]:
    if by == "trials":
        return [float(i) for i in range(1, len(ended) + 1)]
    if by == "epochs":
        return list(accumulate(float(t.step - t.start) for t in ended))
    first = min((t.proposed_at for t in history.trials), default=0.0)
    return [(t.ended_at or first) - first for t in ended]


def _finite(trial: TrialRecord) -> bool:
    return math.isfinite(trial.best_loss) and trial.state.value not in ("diverged", "failed")


def _bands(history: History, ended: list[TrialRecord], at: list[float], axes: Any) -> None:
    """Shade every other stage, and write its name where it begins."""
    high = history.objective.direction == "maximize"
    for stage in history.stages:
        own = [x for x, t in zip(at, ended, strict=True) if t.stage == stage.begun.stage]
        if not own:
            continue
        if stage.begun.stage % 2 == 0:
            axes.axvspan(min(own), max(own), color=GREY, alpha=0.15, lw=0)
        axes.text(
            min(own),
            0.01 if high else 0.99,  # where the best are not
            plain(f" {stage.name}"),
            rotation=90,
            va="bottom" if high else "top",
            fontsize=7,
            transform=axes.get_xaxis_transform(),
        )


def _limits(axes: Any, values: list[float], *, high_is_good: bool) -> None:
    """Leave the worst out of sight where they would press all others together; never the best."""
    if len(values) < 8:
        return
    ordered = sorted(values)
    low, high = ordered[len(values) // 10], ordered[-1 - len(values) // 10]
    reach = 3 * (high - low)
    if reach > 0:
        margin = 0.1 * (high - low)
        bottom, top = ordered[0] - margin, ordered[-1] + margin
        if high_is_good:
            axes.set_ylim(max(bottom, low - reach), top)
        else:
            axes.set_ylim(bottom, min(top, high + reach))
