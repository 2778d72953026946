"""Who climbed which rung, and who was left behind."""

from __future__ import annotations

import itertools
import math
from typing import Any

from luthier.errors import StudyError
from luthier.insight.drawing import FILL, GREY, LINE, MARK, axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.ladder import Bracket
from luthier.insight.ladder import ladder as ladder_of
from luthier.insight.trials import Source, history_of

_FATES = {"promoted": FILL, "ended": MARK, "waits": "#9db4c8", "stopped": GREY}
_WORDS = {
    "promoted": "went on",
    "ended": "trained to its end",
    "waits": "waits",
    "stopped": "stopped",
}


def ladder(source: Source, bracket: int | None = None) -> Any:
    """Return the rungs of one bracket of Hyperband, successive halving or ASHA.

    A dot is a trial with its value on arrival, a line its way up. The broken line at a rung is the worst
    value with which a trial went on.

    Args:
        source: a study or its history.
        bracket: its index, from 0; by default the first one with several rungs.

    Raises:
        StudyError: no such bracket has begun, or the scheduler has no rungs.
    """
    history = history_of(source)
    chosen = _chosen(ladder_of(history).brackets, bracket)
    axes = axes_or_new(None)
    places: list[dict[int, tuple[float, float]]] = []
    for at, rung in enumerate(chosen.rungs):
        finite = [(t, v) for t, v in zip(rung.trials, rung.values, strict=True) if math.isfinite(v)]
        spread = [
            (((k * 0.618034) % 1) - 0.5) * 0.4 if len(finite) > 1 else 0.0
            for k in range(len(finite))
        ]
        places.append({t: (at + dx, v) for (t, v), dx in zip(finite, spread, strict=True)})
    for below, above in itertools.pairwise(places):
        for trial in below.keys() & above.keys():
            (x0, y0), (x1, y1) = below[trial], above[trial]
            axes.plot([x0, x1], [y0, y1], color=FILL, lw=0.8, alpha=0.4, zorder=1)
    for fate, colour in _FATES.items():
        points = [
            place
            for rung, known in zip(chosen.rungs, places, strict=True)
            for trial, own in zip(rung.trials, rung.fates, strict=True)
            if own == fate and (place := known.get(trial)) is not None
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o", ms=5, color=colour, label=_WORDS[fate])
    for at, rung in enumerate(chosen.rungs):
        if rung.cut is not None and math.isfinite(rung.cut):
            axes.plot([at - 0.35, at + 0.35], [rung.cut] * 2, "--", color=LINE, lw=1)
    names = [f"epoch {r.step}\n{r.arrived} in, {r.promoted} on" for r in chosen.rungs]
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel(plain(history.objective.metric))
    title = f"Bracket {chosen.name}: {chosen.spent} epochs in place of {chosen.full}"
    axes.set_title(plain(title))
    axes.legend(fontsize=8)
    return axes.figure


def _chosen(brackets: tuple[Bracket, ...], index: int | None) -> Bracket:
    """Return the bracket that was asked for."""
    if not brackets:
        raise StudyError("There is no ladder: nothing has been sorted out between epochs yet.")
    if index is None:
        return next((b for b in brackets if len(b.rungs) > 1), brackets[0])
    for bracket in brackets:
        if bracket.index == index:
            return bracket
    begun = ", ".join(str(b.index) for b in brackets)
    raise StudyError(f"bracket={index}: expected one that has begun: {begun}.")
