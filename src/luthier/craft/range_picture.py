"""A range test as a picture: the loss against the learning rate, on a log axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from luthier.craft.range_finder import RangeTest

_SWEEP, _MEAN, _GOOD, _BAD = "#9db4c8", "#1f4e79", "#2e8b57", "#c0392b"


def picture(test: RangeTest) -> Any:
    """Return the figure; matplotlib's own global figures stay as they are.

    Its lines and its band have labels (``get_label()``): "a sweep", "mean, smoothed", "suggestion …",
    "minimum …", "steepest …", "divergence …", "range to search".
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    axes = figure.subplots()
    if test.low is not None and test.high is not None:
        axes.axvspan(test.low, test.high, color=_GOOD, alpha=0.10, label="range to search", lw=0)
    for i, losses in enumerate(test.losses):
        label = "a sweep" if i == 0 else None
        axes.plot(test.rates, losses, color=_SWEEP, lw=0.6, alpha=0.7, label=label)
    axes.plot(test.rates, test.smoothed, color=_MEAN, lw=2.0, label="mean, smoothed")
    marks = [
        ("suggestion", test.suggestion, _GOOD, "-"),
        ("steepest", test.steepest, _MEAN, ":"),
        ("minimum", test.minimum, _MEAN, "--"),
        ("divergence", test.divergence, _BAD, "-."),
    ]
    for name, rate, colour, style in marks:
        if rate is not None:
            label = f"{name} {rate:.2g}"
            axes.axvline(rate, color=colour, ls=style, lw=1.4, label=label)
    if test.suggestion is not None:
        height = float(np.interp(np.log(test.suggestion), np.log(test.rates), test.smoothed))
        axes.plot([test.suggestion], [height], "o", color=_GOOD, ms=7)
    axes.set_xscale("log")
    axes.set_xlim(test.rates[0], _end(test))
    lowest, highest = float(test.smoothed.min()), float(test.smoothed.max())
    margin = 0.15 * (highest - lowest) or 1.0
    axes.set_ylim(lowest - margin, highest + margin)
    axes.set_xlabel("learning rate α")
    axes.set_ylabel("training loss of a batch")
    axes.set_title("Learning-rate range test" + (f": {test.problem}" if test.problem else ""))
    axes.spines[["top", "right"]].set_visible(False)
    # Below the axes: in them it would lie on the curve, whose shape is not known.
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    return figure


def _end(test: RangeTest) -> float:
    """Return where the picture ends: half a decade after the last loss that there is."""
    there = np.flatnonzero(np.isfinite(test.losses).any(axis=0))
    last = float(test.rates[there[-1]]) if there.size else float(test.rates[-1])
    return min(last * 3.0, float(test.rates[-1]))
