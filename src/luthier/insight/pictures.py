"""Pictures of what was found, each drawn from the record's own numbers and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from luthier.errors import StudyError
from luthier.insight.drawing import axes_or_new
from luthier.insight.importance import Importance
from luthier.insight.interactions import Interaction

_FILL, _LINE, _MARK = "#4878a8", "#222222", "#c44e52"


def picture(found: Any, axes: Any = None) -> Any:
    """Draw what a question to a study gave, on *axes* or on a figure of its own; return the axes.

    ``luthier.insight.picture(luthier.insight.importance(study)).figure.savefig("importance.png")``

    Needs matplotlib (``pip install "luthier[plot]"``).

    Raises:
        StudyError: there is no picture of such a thing, or matplotlib is not installed.
    """
    if isinstance(found, tuple) and found:
        several = cast("tuple[Any, ...]", found)
        if isinstance(several[0], Importance):
            return _importance(cast("tuple[Importance, ...]", several), axes)
        if isinstance(several[0], Interaction):
            return _interactions(cast("tuple[Interaction, ...]", several), axes)
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
    axes.barh([i.name for i in shown], shares, color=_FILL, height=0.6)
    axes.errorbar(shares, range(len(shown)), xerr=ends, fmt="none", ecolor=_LINE, capsize=3)
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
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            ink = "white" if share > 0.6 * image.norm.vmax else "black"
            axes.text(column, row, f"{share:.1%}", ha="center", va="center", color=ink)
    axes.set_title("Share of the variance that two explain only together")
    return axes
