"""How far trials were trained, and what became of them."""

from __future__ import annotations

from typing import Any

from luthier.insight.drawing import FILL, GREY, LINE, MARK, axes_or_new
from luthier.insight.trials import Source, history_of
from luthier.study.records import TrialState

_COLOURS = {
    TrialState.COMPLETED: FILL,
    TrialState.STOPPED: GREY,
    TrialState.PAUSED: "#9db4c8",
    TrialState.DIVERGED: MARK,
    TrialState.FAILED: LINE,
    TrialState.RUNNING: "#6aa84f",
    TrialState.QUEUED: "#b6d7a8",
}
_BARS = 60


def budgets(source: Source) -> Any:
    """Return how many trials were trained to each epoch, by what became of them.

    With Hyperband, successive halving or ASHA the steps are the rungs.
    """
    history = history_of(source)
    longest = max((t.step for t in history.trials), default=1) or 1
    width = max(1, -(-longest // _BARS))
    ends = range(width, longest + width, width)
    axes = axes_or_new(None)
    bottom = [0] * len(ends)
    for state, colour in _COLOURS.items():
        steps = [t.step for t in history.trials if t.state is state and t.repeats < 0]
        heights = [sum(s > end - width for s in steps) for end in ends]
        if any(heights):
            axes.bar([e - width / 2 + 0.5 for e in ends], heights, width, bottom=bottom, color=colour,
                     label=str(state))  # fmt: skip
            bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("trials trained so far")
    axes.set_title(f"Trials by budget: {history.epochs - history.repeated_epochs} epochs in all")
    if any(bottom):
        axes.legend(fontsize=8)
    return axes.figure
