"""The space: what was searched, where the best lie, and which edges they crowd."""

from __future__ import annotations

from typing import Any

from luthier.errors import StudyError
from luthier.insight import boundary
from luthier.insight.drawing import FILL, GREY, LINE, MARK, axes_or_new
from luthier.insight.labelling import plain, shortened, told_apart
from luthier.insight.trials import Source, history_of
from luthier.space import Bool, Choice, Constant

_BINS = 40


def space(source: Source) -> Any:
    """Return a row for each hyperparameter, on its own scale from end to end.

    Grey is where all trials lie, blue where the best tenth lie, the black line is the best trial; a red
    edge is one that the best trials crowd.

    Raises:
        StudyError: nothing is searched.
    """
    history = history_of(source)
    searched = {n: d for n, d in history.space.domains.items() if not isinstance(d, Constant)}
    if not searched:
        raise StudyError("There is no space to draw: it has no hyperparameter that is searched.")
    ranking = history.ranking()
    tried = [t for t in history.trials if t.repeats < 0]
    best = ranking[: max(3, -(-len(ranking) // 10))]
    try:
        edges = {(c.name, c.side) for c in boundary.check(source)}
    except StudyError:  # too few trials to say
        edges = set[tuple[str, str]]()
    axes = axes_or_new(None, height=1.0 + 0.45 * len(searched))
    for row, (name, domain) in enumerate(searched.items()):
        bins = domain.cardinality if isinstance(domain, Choice | Bool) else _BINS

        def places(trials: Any, name: str = name, domain: Any = domain) -> list[float]:
            return [
                min(1.0, max(0.0, float(domain.encode(t.configuration[name]))))
                for t in trials
                if name in t.configuration and domain.contains(t.configuration[name])
            ]

        for trials, colour, alpha in ((tried, GREY, 0.7), (best, FILL, 0.8)):
            counts = [0] * bins
            for place in places(trials):
                counts[min(bins - 1, int(place * bins))] += 1
            most = max(counts) or 1
            lefts, heights = [i / bins for i in range(bins)], [-0.8 * n / most for n in counts]
            axes.bar(
                lefts,
                heights,
                0.95 / bins,
                bottom=row + 0.4,
                align="edge",
                color=colour,
                alpha=alpha,
            )
        for place in places(best[:1]):
            axes.plot([place, place], [row - 0.42, row + 0.42], color=LINE, lw=1.6)
        named = told_apart([domain.decode(0.0), domain.decode(1.0)], 3)
        for side, x, text in (("low", 0.0, named[0]), ("high", 1.0, named[1])):
            if (name, side) in edges:
                axes.plot([x, x], [row - 0.42, row + 0.42], color=MARK, lw=4)
            ha, dx = ("right", -0.01) if side == "low" else ("left", 0.01)
            axes.text(x + dx, row, shortened(text), ha=ha, va="center", fontsize=7)
    axes.set_yticks(range(len(searched)), list(map(plain, searched)), fontsize=8)
    axes.tick_params(axis="y", pad=34, length=0)
    axes.set_xticks([])
    axes.set_xlim(-0.002, 1.002)
    axes.invert_yaxis()
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title("The space, and where the best lie")
    return axes.figure
