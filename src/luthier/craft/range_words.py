"""A range test in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from luthier.craft.range_finder import RangeTest


def explain(test: RangeTest) -> str:
    """Return what the curve shows, what follows from it, and what to do next."""
    sweeps, first, last = len(test.losses), test.rates[0], test.rates[-1]
    seen = (
        f"The loss began at {test.initial:.3g} (mean of {sweeps} sweep{'s' if sweeps > 1 else ''} over "
        f"rates from {first:.1g} to {last:.3g})"
    )
    if test.problem == "not finite":
        return (
            f"No batch at the lowest rates, from {first:.1g} on, gave a loss that is a number: it is not the "
            "rate. Look for NaN in the data, a logarithm or a division by 0 in the loss, labels outside of "
            "the classes, or weights that an earlier run has left at NaN."
        )
    if test.problem == "flat":
        until = "" if test.divergence is None else f" until it rose at {test.divergence:.2g}"
        higher = "higher rates (high=) or " if test.divergence is None else ""
        return (
            f"{seen} and stayed there{until}, up to its noise: at none of these rates does the model "
            "learn. Look for a bug first (are gradients zero, do labels fit the inputs, is a layer "
            f"frozen?), then try {higher}more batches (steps=, sweeps=)."
        )
    if test.problem == "rising":
        at = "the first rates" if test.divergence is None else f"{test.divergence:.2g}"
        return (
            f"{seen} and only rose, from {at} on: it diverges before it learns. Begin lower (low=), "
            "normalise the inputs, or clip gradients."
        )
    words = [
        f"{seen}, fell from {test.low:.2g} on, fastest at {test.steepest:.2g}, to its minimum of "
        f"{test.smoothed.min():.3g} at {test.minimum:.2g}"
    ]
    if test.divergence is not None:
        words.append(f", and was most of the way back up at {test.divergence:.2g}.")
    elif test.problem == "falling":
        words.append(
            ", the end of the sweep: it was still falling, so the best rate may be higher. Try again "
            "with a higher high=."
        )
    else:
        words.append("; it did not climb back within the rates that were tried.")
    words.append(
        f" Suggested: {test.suggestion:.2g}, between where it falls and where it rises. To search: "
        f"{test.low:.2g} to {test.high:.2g} on a log scale. "
        "With a warm-up or a decaying schedule, the peak may be two or three times higher."
    )
    return "".join(words)
