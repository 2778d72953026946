"""Learning-rate range test: from losses at rising rates to a rate, and a range to search.

The model trains while its learning rate rises exponentially, one batch at each rate (Smith 2015, arXiv
1506.01186, section 3.3; 2018, arXiv 1803.09820, section 3). Where the loss falls, the rate is useful;
where it rises again, the rate is too high. This file reads such a curve; ``luthier.keras``,
``luthier.torch`` and ``luthier.jax`` record one by ``find_learning_rate``.

How it is read. Losses are averaged over the sweeps, cut at a ceiling (a diverging loss says no more than
that it diverges) and smoothed by bias-corrected exponential averages, one from each side, so that the
curve is not shifted. L₀ is the loss at the lowest rates, where nothing is learned, L* the smoothed
minimum. On both sides of the minimum the curve passes the heights at which 50, 60, … 90 % of the drop L₀ − L*
is done; α₁ and α₂ are the means, in the logarithm, of the rates at which it does so on its way down and up. The
suggestion is α₁^⅔ α₂^⅓ / 1.5. The steep sides barely depend on the noise, where the minimum is flat and the
steepest point moves about. And what L₀ happens to be, which the initial weights decide more than anything else,
nearly cancels: a higher one moves α₁ down and α₂ up. The weights are for that; 1.5 was chosen so that on the
combinations of ``benchmarks/range_finder.py`` the suggestion lies about where 85 % of the drop is done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.errors import StudyError
from luthier.space import Float

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from luthier.study.study import Study

HEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9)  # shares of L₀ − L* that are done where the sides are measured
RISING_SIDE = 1 / 3  # the weight of the rising side in the suggestion, in the logarithm
BELOW = 1.5  # times below that: the suggestion
LOWEST_DROP = 0.1  # and at the low end of the range
CLIMB = 0.9  # share of L₀ − L* that the loss has climbed back at the divergence point
WIDTH = 0.25  # decades that the smoothing averages over, on each side
_SURE = 4.5  # standard errors that a drop must have to be one
_LEAST = 1e-12  # change of a loss: one that is always 0 has neither noise nor size
_DENSE = (
    0.5  # β from which on neighbouring losses differ by their noise more than by the curve's shape
)


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test found. Rates are None where the curve does not show them.

    Attributes:
        rates: the rates that were tried, rising, shape (rates,).
        losses: the loss of each batch, shape (sweeps, rates); NaN after a sweep stopped.
        smoothed: the mean loss over the sweeps, cut and smoothed, shape (rates,).
        initial: L₀, the loss at the lowest rates; NaN where no batch there gave a number.
        steepest: the rate where the loss falls fastest over ln(rate), before the minimum.
        minimum: the rate of the lowest smoothed loss.
        divergence: the rate at which the loss has climbed back by 90 % of its drop; where it never fell, at
            which it has clearly risen.
        suggestion: a constant rate to train with.
        low: from where on the loss is below where it began: the low end of the range to search.
        high: the high end: the divergence point, or the highest rate tried.
        problem: what is wrong with the curve: ``"flat"`` (at no rate did it fall beyond its noise),
            ``"rising"`` (nor that, and it rose before half of the sweep, in the logarithm), ``"falling"``
            (it still fell at the end), ``"not finite"`` (no loss at the lowest rates is a number), or None.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    initial: float
    steepest: float | None
    minimum: float | None
    divergence: float | None
    suggestion: float | None
    low: float | None
    high: float | None
    problem: str | None = None

    def domain(self) -> Float:
        """Return the range as a hyperparameter on a log scale, with the suggestion as its prior.

        Raises:
            StudyError: the curve shows no range.
        """
        if self.low is None or self.high is None:
            raise StudyError(f"The range test found no range: {self.explain()}")
        return Float(self.low, self.high, scale="log", prior=self.suggestion, confidence="low")

    def explain(self) -> str:
        """Return in words what was read off the curve, and what to do next."""
        from luthier.craft.range_words import explain

        return explain(self)

    def picture(self) -> Any:
        """Return a matplotlib figure of the loss against the rate, with all that was read off it.

        Raises:
            ModuleNotFoundError: matplotlib is not there.
        """
        from luthier.craft.range_picture import picture

        return picture(self)

    def keep(self, study: Study) -> None:
        """Write this test into the log of *study*: its dashboard then shows it beside the trials."""
        from luthier.craft.range_kept import keep

        keep(self, study)


def sweep_rates(low: float, high: float, steps: int, sweeps: int = 1) -> NDArray[np.float64]:
    """Return *steps* rates from *low* to *high*, each a constant factor above the last.

    Args:
        low: the first rate.
        high: the last one.
        steps: how many.
        sweeps: how often they will be gone through.

    Raises:
        StudyError: no such range, fewer than 20 steps, or no sweep.
    """
    import numpy as np

    if not 0 < low < high < math.inf:
        raise StudyError(f"low={low!r}, high={high!r}: expected learning rates, 0 < low < high.")
    if steps < 20:
        raise StudyError(f"steps={steps!r}: expected at least 20 rates; 20 a decade are good.")
    if isinstance(sweeps, bool) or not isinstance(sweeps, int) or sweeps < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StudyError(f"sweeps={sweeps!r}: expected a whole number above 0; 3 are good.")
    return np.geomspace(low, high, steps)


def read(rates: ArrayLike, losses: ArrayLike) -> RangeTest:
    """Read a range test off the losses at rising rates.

    Args:
        rates: shape (rates,), rising on a log scale.
        losses: of single batches, shape (rates,) or (sweeps, rates); NaN and infinity are divergence.

    Raises:
        StudyError: shapes that do not fit, fewer than 20 rates, or rates that do not rise.
    """
    import numpy as np

    rates = np.asarray(rates, np.float64)
    losses = np.atleast_2d(np.asarray(losses, np.float64))
    _check(rates, losses)
    logs = np.log(rates)
    weight = _averaging(logs)
    nothing = dict.fromkeys(["steepest", "minimum", "suggestion", "low", "high"])
    if not np.isfinite(losses[:, : _early(rates)]).any():
        flat = np.ones(len(rates))
        return RangeTest(
            rates, losses, flat, math.nan, **nothing, divergence=None, problem="not finite"
        )
    curve, initial = _mean_curve(losses, weight)
    smoothed = smooth(curve, weight)
    lowest = int(np.argmin(smoothed))
    drop = initial - float(smoothed[lowest])
    clear = max(_SURE * _noise(curve, lowest, weight), 1e-6 * abs(initial), _LEAST)
    sure = max(_SURE * _noise_around(curve, lowest, weight), clear)
    if drop <= sure or lowest < _early(rates) // 2:
        risen = _crossing(logs, smoothed, float(smoothed[lowest]) + 2 * clear, lowest, rising=True)
        # Lower rates help a model that diverges soon, not one that most of the rates have taught nothing.
        stood = risen is None or math.log(risen) > float(logs[0] + logs[-1]) / 2.0
        return RangeTest(
            rates, losses, smoothed, initial, **nothing,
            divergence=risen, problem="flat" if stood else "rising",
        )  # fmt: skip
    divergence = _crossing(logs, smoothed, initial - (1.0 - CLIMB) * drop, lowest, rising=True)
    slopes = np.gradient(smoothed, logs)
    low = _falls_below(logs, smoothed, initial - LOWEST_DROP * drop, lowest)
    falling = slice(int(np.searchsorted(rates, low)), lowest + 1)  # not the noise before it
    suggestion = _suggestion(logs, smoothed, initial, lowest, falling.start)
    high = divergence if divergence is not None else float(rates[-1])
    return RangeTest(
        rates,
        losses,
        smoothed,
        initial,
        steepest=float(rates[falling][int(np.argmin(slopes[falling]))]),
        minimum=float(rates[lowest]),
        divergence=divergence,
        suggestion=suggestion,
        low=min(low, suggestion),
        high=high,
        problem="falling" if divergence is None and lowest >= 0.95 * (len(rates) - 1) else None,
    )


def _suggestion(
    logs: NDArray[np.float64],
    smoothed: NDArray[np.float64],
    initial: float,
    lowest: int,
    start: int,
) -> float:
    """Return the rate between the two sides of the curve, at most that of the minimum.

    The falling side is looked for from index *start* on: before it there is only noise.

    Where it does not climb back its rising side is taken to be at the highest rate.
    """
    drop, highest = initial - float(smoothed[lowest]), math.exp(float(logs[-1]))
    place = -math.log(BELOW)
    for share in HEIGHTS:
        level = initial - share * drop
        falls = _crossing(logs, smoothed, level, start) or highest
        rises = _crossing(logs, smoothed, level, lowest, rising=True) or highest
        place += (1.0 - RISING_SIDE) / len(HEIGHTS) * math.log(falls)
        place += RISING_SIDE / len(HEIGHTS) * math.log(rises)
    return math.exp(min(place, float(logs[lowest])))


def smooth(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return the mean of two bias-corrected exponential averages, one from each side.

    From one side v_t = β v_{t−1} + (1 − β) x_t, over 1 − β^t; it lags by β/(1 − β) values, which is most
    of a factor of 2 in the rate. The other side's lag is the opposite.

    Args:
        values: shape (n,).
        weight: β in [0, 1): it averages over 1/(1 − β) values on each side.
    """
    return (_average(values, weight) + _average(values[::-1], weight)[::-1]) / 2.0


def _average(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    import numpy as np

    averages, running = np.empty(len(values)), 0.0
    for t, value in enumerate(values, 1):
        running = weight * running + (1.0 - weight) * float(value)
        averages[t - 1] = running / (1.0 - weight**t)
    return averages


def _averaging(logs: NDArray[np.float64]) -> float:
    """Return the β that averages over ``WIDTH`` decades."""
    a_decade = (len(logs) - 1) * math.log(10.0) / float(logs[-1] - logs[0])
    return max(0.0, 1.0 - 1.0 / (WIDTH * a_decade))


def _mean_curve(losses: NDArray[np.float64], weight: float) -> tuple[NDArray[np.float64], float]:
    """Return the mean loss at each rate, cut at a ceiling, and the initial loss.

    The ceiling is as far above the initial loss as the minimum is below it (and at least three standard
    deviations of a batch): whatever is higher counts as that, so that one exploding sweep does not hide
    where the others were.
    """
    import numpy as np

    early = losses[:, : _early(losses[0])]
    finite = np.where(np.isfinite(losses), losses, np.inf)
    usable = early[np.isfinite(early)]
    initial = float(np.mean(usable))
    below = smooth(np.minimum(finite, initial).mean(axis=0), weight)
    fall = max(initial - float(below.min()), 3.0 * float(np.std(usable)), 1e-3 * abs(initial))
    return np.minimum(finite, initial + fall).mean(axis=0), initial


def _early(values: NDArray[np.float64]) -> int:
    """Return how many of the rates say where the loss begins."""
    return max(5, len(values) // 10)


def _noise(curve: NDArray[np.float64], lowest: int, weight: float) -> float:
    """Return the standard error of the smoothed curve, from differences before the minimum."""
    import numpy as np

    before = curve[: max(lowest, 2 * _early(curve)) + 1]
    deviation = float(np.median(np.abs(np.diff(before)))) / (0.6745 * math.sqrt(2.0))
    return deviation * math.sqrt((1.0 - weight) / (1.0 + weight) / 2.0)


def _noise_around(curve: NDArray[np.float64], lowest: int, weight: float) -> float:
    """Return the standard error of the smoothed curve round its minimum.

    At rates that do something the loss of a batch may scatter far more than at those before. It is taken
    from second differences (of variance 6σ²), which a slope does not enter; 0 for rates so far apart
    that even those would show the curve's shape.
    """
    import numpy as np

    if weight < _DENSE:
        return 0.0
    width = round(2.0 / (1.0 - weight))
    around = np.diff(curve[max(0, lowest - width) : lowest + width + 1], 2)
    deviation = float(np.median(np.abs(around))) / (0.6745 * math.sqrt(6.0))
    return deviation * math.sqrt((1.0 - weight) / (1.0 + weight) / 2.0)


def _falls_below(
    logs: NDArray[np.float64], smoothed: NDArray[np.float64], level: float, lowest: int
) -> float:
    """Return the rate from which on the curve stays below *level* until its minimum."""
    import numpy as np

    above = np.flatnonzero(smoothed[:lowest] > level)
    found = _crossing(logs, smoothed, level, int(above[-1]) + 1 if above.size else 0)
    return math.exp(float(logs[lowest])) if found is None else found


def _crossing(
    logs: NDArray[np.float64],
    smoothed: NDArray[np.float64],
    level: float,
    start: int,
    *,
    rising: bool = False,
) -> float | None:
    """Return the first rate from *start* on at which the curve passes *level*, interpolated."""
    import numpy as np

    beyond = smoothed >= level if rising else smoothed <= level
    found = np.flatnonzero(beyond[start:])
    if not found.size:
        return None
    i = start + int(found[0])
    if i == 0:
        return math.exp(float(logs[0]))
    before, after = float(smoothed[i - 1]), float(smoothed[i])
    share = (level - before) / (after - before) if after != before else 1.0
    place = float(logs[i - 1]) + min(max(share, 0.0), 1.0) * float(logs[i] - logs[i - 1])
    return math.exp(place)


def _check(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
    if rates.ndim != 1 or losses.ndim != 2 or losses.shape[1] != len(rates) or not len(losses):
        raise StudyError(
            f"rates have shape {rates.shape}, losses {losses.shape}: expected (rates,) and "
            "(sweeps, rates)."
        )
    if len(rates) < 20 or rates[0] <= 0 or (rates[1:] <= rates[:-1]).any():
        raise StudyError(f"Expected at least 20 rates that rise from above 0, got {rates!r}.")
