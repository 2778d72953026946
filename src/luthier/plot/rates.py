"""The learning rate's range test."""

from __future__ import annotations

from typing import Any

from luthier.craft.range_kept import kept
from luthier.errors import StudyError
from luthier.insight.drawing import FILL, GREY, LINE, MARK, axes_or_new
from luthier.insight.trials import Source, history_of


def learning_rate(source: Source) -> Any:
    """Return the range test that was kept in the study: its sweeps, what was read off, the range to search.

    Raises:
        StudyError: the study keeps none; ``luthier.keras.find_learning_rate(...).keep(study)`` does.
    """
    test = kept(history_of(source))
    if test is None:
        raise StudyError(
            "No range test is kept in this study: find_learning_rate(...).keep(study) keeps one."
        )
    axes = axes_or_new(None)
    for sweep in test.losses:
        axes.plot(test.rates, sweep, color=GREY, lw=0.6, alpha=0.7)
    axes.plot(test.rates, test.smoothed, color=FILL, lw=2, label="smoothed")
    for name, colour, style in (
        ("steepest", LINE, ":"), ("minimum", LINE, "--"), ("divergence", MARK, "-."), ("suggestion", MARK, "-"),
    ):  # fmt: skip
        at = getattr(test, name)
        if at is not None:
            axes.axvline(at, color=colour, ls=style, lw=1.2, label=f"{name} {at:.2g}")
    if test.low is not None and test.high is not None:
        axes.axvspan(test.low, test.high, color=FILL, alpha=0.12, lw=0)
    low, high = float(min(test.smoothed)), float(max(test.smoothed))
    air = 0.15 * (high - low) or 0.5
    axes.set_ylim(low - air, high + air)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss of a batch")
    axes.set_title("Learning-rate range test")
    axes.legend(fontsize=8)
    return axes.figure
