"""The objective over two hyperparameters, as a surrogate expects it."""

from __future__ import annotations

from typing import Any

from luthier.insight import Contour
from luthier.insight import contour as asked
from luthier.insight.drawing import MARK, axes_or_new
from luthier.insight.labelling import plain, shortened, told_apart
from luthier.insight.trials import Source, history_of, tried
from luthier.space import Bool, Choice, Domain
from luthier.study.history import History


def contour(source: Source, first: str | None = None, second: str | None = None) -> Any:
    """Return the expected objective over two hyperparameters on their own scales, with all trials.

    All other hyperparameters are as in the best trial, which is red. Broken lines are where the
    surrogate knows little: there its 90 % interval is wider than half the range of all values shown.
    See ``insight.contour``.

    Args:
        source: a study or its history.
        first: the hyperparameter across; by default the most important one.
        second: the one upwards; by default the next important one.

    Raises:
        StudyError: as ``insight.contour``, or matplotlib is not installed.
    """
    history = history_of(source)
    return drawn(asked(history, first, second), history)


def drawn(found: Contour, history: History) -> Any:
    """Return the picture of a contour of *history* that was asked for before."""
    import numpy as np

    seen = tried(history)
    columns = seen.columns
    one, two = (columns.names.index(name) for name in found.names)
    axes = axes_or_new(None, height=5.0)
    better_is_dark = history.objective.direction == "minimize"
    shading = "nearest" if min(found.mean.shape) < 3 else "gouraud"
    shown = axes.pcolormesh(
        found.across, found.up, found.mean, shading=shading,
        cmap="Blues_r" if better_is_dark else "Blues",
        rasterized=True,  # else an SVG file has thousands of gradients
    )  # fmt: skip
    axes.figure.colorbar(shown, ax=axes, label=plain(f"expected {found.metric}"))
    if min(found.mean.shape) >= 3:
        axes.contour(found.across, found.up, found.mean, 8, colors="#ffffff", linewidths=0.5)
        half = float(np.ptp(found.mean)) / 2
        if found.width.min() < half < found.width.max():
            lines = {"colors": "#222222", "linewidths": 1.0, "linestyles": "dashed"}
            axes.contour(found.across, found.up, found.width, [half], **lines)
    finite = np.isfinite(seen.first)
    axes.plot(seen.points[finite, one], seen.points[finite, two], "o", ms=3.5, color="#222222",
              mec="#ffffff", mew=0.5)  # fmt: skip
    best = seen.points[seen.numbers == found.around][0]
    axes.plot(best[one], best[two], "o", ms=7, color=MARK, mec="#ffffff")
    for column, axis in ((one, axes.xaxis), (two, axes.yaxis)):
        places, labels = _ticks(columns.domains[column])
        axis.set_ticks(places, labels)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel(plain(found.names[0]))
    axes.set_ylabel(plain(found.names[1]))
    axes.set_title(f"All others as in trial {found.around}")
    return axes.figure


_TICKS = 6  # values of a discrete hyperparameter that are named at most


def _ticks(domain: Domain) -> tuple[list[float], list[str]]:
    """Return places in the unit cube, and what is written there."""
    if isinstance(domain, Choice | Bool):
        places = [(i + 0.5) / domain.cardinality for i in range(domain.cardinality)]
        return places, [shortened(str(domain.decode(place))) for place in places]
    count = domain.cardinality
    if count is not None:  # whole numbers, or steps: only these are there
        every = -(-count // _TICKS)
        values = [domain.decode((i + 0.5) / count) for i in range(0, count, every)]
        return [domain.encode(v) for v in values], told_apart(values)
    low, high = (float(domain.decode(end)) for end in (0.0, 1.0))
    if getattr(domain, "scale", "linear") == "linear":
        from matplotlib.ticker import MaxNLocator

        values = [float(v) for v in MaxNLocator(5).tick_values(low, high) if low <= v <= high]
    else:
        tens = [10.0**power for power in range(-30, 31)]
        wanted = [1 - ten for ten in tens] if domain.scale == "one_minus_log" else tens  # type: ignore[attr-defined]
        values = [v for v in wanted if low <= v <= high]
        if len(values) < 2:
            values = [float(domain.decode(place)) for place in (0.0, 0.5, 1.0)]
    return [float(domain.encode(v)) for v in values], told_apart(values)
