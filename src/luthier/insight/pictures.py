"""Pictures of what was found, each drawn from the record's own numbers and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from luthier.errors import StudyError
from luthier.insight.drawing import FILL, LINE, MARK, axes_or_new
from luthier.insight.importances import Importance
from luthier.insight.interacting import Interaction
from luthier.insight.isolating import Isolated, Isolation
from luthier.insight.labelling import plain
from luthier.insight.sufficiency import Enough, percent


def picture(found: Any, axes: Any = None) -> Any:
    """Draw what a question to a study gave, on *axes* or on a figure of its own; return the axes.

    ``luthier.insight.picture(luthier.insight.importance(study)).figure.savefig("importance.png")``

    Needs matplotlib (``pip install "luthier[plot]"``).

    Raises:
        StudyError: there is no picture of such a thing, or matplotlib is not installed.
    """
    if found == ():
        raise StudyError("There is nothing to draw: no two hyperparameters are searched.")
    if isinstance(found, tuple):
        several = cast("tuple[Any, ...]", found)
        if isinstance(several[0], Importance):
            return _importance(cast("tuple[Importance, ...]", several), axes)
        if isinstance(several[0], Interaction):
            return _interactions(cast("tuple[Interaction, ...]", several), axes)
    if isinstance(found, Isolation):
        return _isolation(found, axes)
    if isinstance(found, Enough):
        return _enough(found, axes)
    raise StudyError(
        f"There is no picture of {type(found).__name__}: expected what importance, interactions, "
        "isolation or enough returns."
    )


def _importance(found: Sequence[Importance], axes: Any) -> Any:
    """Draw the shares as bars with their intervals, the most important on top."""
    axes = axes_or_new(axes, height=1.2 + 0.35 * len(found))
    shown = found[::-1]
    shares = [i.share for i in shown]
    ends = [[i.share - i.low for i in shown], [i.high - i.share for i in shown]]
    axes.barh([plain(i.name) for i in shown], shares, color=FILL, height=0.6)
    axes.errorbar(shares, range(len(shown)), xerr=ends, fmt="none", ecolor=LINE, capsize=3)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share (lines: 5 % to 95 % of resampled trials)")
    axes.set_title("Importance")
    return axes


def _interactions(found: Sequence[Interaction], axes: Any) -> Any:
    """Draw the pairs as a triangle of cells, darker for a larger share."""
    import numpy as np

    names = sorted({name for pair in found for name in pair.names})
    shares = np.full((len(names), len(names)), np.nan)
    for pair in found:
        low, high = sorted(map(names.index, pair.names))
        shares[high, low] = pair.share
    axes = axes_or_new(axes, height=2.0 + 0.45 * len(names))
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=max(0.05, float(np.nanmax(shares))))
    shown = list(map(plain, names))
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), shown)
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            ink = "white" if share > 0.6 * image.norm.vmax else "black"
            axes.text(column, row, f"{share:.1%}", ha="center", va="center", color=ink)
    axes.set_title("Share of the variance that two explain only together")
    return axes


def _isolation(found: Isolation, axes: Any) -> Any:
    """Draw each value's median with its interval, and the number of its trials above."""
    axes = axes_or_new(axes)
    known = [(i, v) for i, v in enumerate(found.values) if math.isfinite(v.median)]
    at = [i for i, _ in known]
    medians = [v.median for _, v in known]
    ends = [[abs(v.median - _finite(v.low, v.median)) for _, v in known],
            [abs(_finite(v.high, v.median) - v.median) for _, v in known]]  # fmt: skip
    axes.errorbar(at, medians, yerr=ends, fmt="o-", color=FILL, ecolor=LINE, capsize=4)
    labels = [f"{v.label}\n{_counted(v)}".replace(" … ", "\n… ") for v in found.values]
    axes.set_xticks(range(len(labels)), list(map(plain, labels)))
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_xlabel(plain(found.roles.scientific))
    each = f"best of {found.budget} trials of {found.epochs} epochs"
    axes.set_ylabel(plain(f"{found.metric}, {each}"))
    axes.set_title(plain(f"Isolation of {found.roles.scientific} (lines: 5 % to 95 %)"))
    return axes


def _counted(value: Isolated) -> str:
    """Return how many trials stand behind a value, and where they are too few for a point."""
    said = f"{value.trials} trial{'s' * (value.trials != 1)}"
    return f"{said}:\ntoo few" if value.too_few else said


def _finite(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise


def _enough(found: Enough, axes: Any) -> Any:
    """Draw the best of n trials with its quartiles, and the noise round the best of all."""
    axes = axes_or_new(axes)
    trials = [point.trials for point in found.curve]
    quartiles = [[getattr(p, end) for p in found.curve] for end in ("best", "worst")]
    axes.fill_between(trials, *quartiles, color=FILL, alpha=0.25, label="quartiles", linewidth=0)
    axes.plot(trials, [p.mean for p in found.curve], color=FILL, label="mean")
    spread = (found.best - found.noise.deviation, found.best + found.noise.deviation)
    axes.axhspan(*spread, color=MARK, alpha=0.15, label="seed noise round the best")
    axes.axhline(found.best, color=MARK, linewidth=1)
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(0.9, max(2.0, 1.1 * trials[-1]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("trials")
    axes.set_ylabel(plain(f"best {found.metric} of so many"))
    chance = f"{found.more} more improve it with a chance of {percent(found.chance)}"
    if math.isnan(found.chance):
        chance = "Whether more would help cannot be told"
    axes.set_title(chance if found.more else "Everything was tried")
    axes.legend()
    return axes
