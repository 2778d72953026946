"""Two objectives against each other."""

from __future__ import annotations

import math
from typing import Any

from luthier.errors import StudyError
from luthier.insight.drawing import GREY, MARK, axes_or_new
from luthier.insight.labelling import plain
from luthier.insight.trials import Source, history_of
from luthier.study.goals import outcome


def front(source: Source, first: int = 0, second: int = 1) -> Any:
    """Return two objectives of every trial, and the front: those that no other trial beats in all.

    Trials that break a bound are crosses. Those that diverged or failed, and the repetitions of a race, are
    left out.

    Args:
        source: a study or its history.
        first: index of the objective on the horizontal axis.
        second: index of the one on the vertical axis.

    Raises:
        StudyError: the study has no two such objectives.
    """
    history = history_of(source)
    goals = history.goals.objectives
    if first == second or not (0 <= first < len(goals) and 0 <= second < len(goals)):
        raise StudyError(
            f"A front needs two objectives; the study has {len(goals)} "
            f"({', '.join(g.metric for g in goals)}), asked for {first} and {second}."
        )
    names = goals[first].metric, goals[second].metric
    best = {t.number for t in history.front()}
    counting = filter(history.counts_in_ranking, history.trials)
    points = [(t, outcome(t, names[0]), outcome(t, names[1])) for t in counting]
    points = [(t, x, y) for t, x, y in points if math.isfinite(x) and math.isfinite(y)]
    axes = axes_or_new(None)
    others = [(x, y) for t, x, y in points if t.number not in best and not t.violation]
    beyond = [(x, y) for t, x, y in points if t.violation]
    on = sorted((x, y) for t, x, y in points if t.number in best)
    axes.plot([x for x, _ in others], [y for _, y in others], "o", ms=4, color=GREY, label="trials")
    if beyond:
        rules = plain(f"not {' and '.join(map(str, history.goals.constraints))}")
        axes.plot([x for x, _ in beyond], [y for _, y in beyond], "x", ms=6, color=MARK, alpha=0.6,
                  label=rules)  # fmt: skip
    axes.plot([x for x, _ in on], [y for _, y in on], "o-", ms=5, color=MARK, label="front")
    axes.set_xlabel(plain(str(goals[first])))
    axes.set_ylabel(plain(str(goals[second])))
    axes.set_title("Trials that no other one beats in all objectives")
    axes.legend(fontsize=8)
    return axes.figure
