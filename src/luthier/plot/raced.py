"""The race of the finalists."""

from __future__ import annotations

import math
from typing import Any

from luthier.errors import StudyError
from luthier.insight.drawing import FILL, GREY, LINE, MARK, axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.race import race as race_of
from luthier.insight.trials import Source, history_of


def race(source: Source) -> Any:
    """Return each finalist's values on new seeds, their mean with its 95 % interval, and what the search found.

    Dropped finalists are grey, the winner is in colour.

    Raises:
        StudyError: the study had no race, or no repetition has ended yet.
    """
    history = history_of(source)
    found = race_of(history)
    told = [f for f in found.finalists if f.values] if found else []
    if not told:
        raise StudyError(
            "There is no race to draw: no finalist has been trained on a new seed yet."
        )
    axes = axes_or_new(None)
    for at, finalist in enumerate(told):
        colour = GREY if finalist.dropped is not None else MARK if at == 0 else FILL
        axes.plot(
            [at + 0.15] * len(finalist.values), finalist.values, "o", ms=3, color=colour, alpha=0.6
        )
        if math.isfinite(finalist.low) and math.isfinite(finalist.high):
            axes.plot([at, at], [finalist.low, finalist.high], color=colour, lw=2)
        axes.plot(at, finalist.mean, "o", ms=7, color=colour)
        axes.plot([at - 0.25, at - 0.1], [finalist.found] * 2, color=LINE, lw=2)
    axes.set_xticks(range(len(told)), [f"trial {f.trial}" for f in told])
    axes.set_xlim(-0.6, len(told) - 0.4)
    axes.set_ylabel(plain(history.objective.metric))
    axes.set_title("Finalists on new seeds (short line: in the search)")
    return axes.figure
