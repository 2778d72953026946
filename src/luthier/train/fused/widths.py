"""How many trials to train side by side, from what it took so far: pure arithmetic.

A step of a small net is mostly overhead that K trials can share, so several side by side take less
time than one after the other; a net that fills the device takes the same, or more when K of them no
longer fit into its cache. Which of the two, only a measurement on the device tells.
"""

from __future__ import annotations

from collections.abc import Mapping

BETTER = 0.9  # a width has to take less than this share of the time per trial of a smaller one


def best_width(seconds: Mapping[int, float]) -> int:
    """Return the width that took the least time per trial and epoch; 1 when nothing was measured.

    Args:
        seconds: for each width that was measured, seconds per trial and epoch.
    """
    best = 1
    for width in sorted(seconds):
        if width == 1 or seconds[width] < BETTER * seconds.get(best, float("inf")):
            best = width
    return best


def next_width(seconds: Mapping[int, float], spent: float, compiling: float, most: int) -> int:
    """Return the width to train with next: the best one known, or one that is worth a measurement.

    A wider program has to be compiled first, so it is tried only when more time has been *spent* with
    the narrower ones than compiling it costs; first four times as wide, then twice, as long as it pays.

    Args:
        seconds: as for ``best_width``.
        spent: seconds of training so far.
        compiling: seconds that the last program took to compile.
        most: the widest that memory allows.
    """
    if not seconds:
        return 1
    best, widest = best_width(seconds), max(seconds)
    wider = 4 if widest == 1 else 2 * widest
    if best == widest and wider <= most and spent > 3 * compiling:
        return wider
    return min(best, most)
