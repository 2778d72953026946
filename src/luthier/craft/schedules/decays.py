"""The families of schedules, each with its formula and its source.

In the formulas t is the number of steps since the warm-up, T the steps from there to the horizon, and
the result is a share of the peak. After the horizon a schedule stays where it ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from luthier.craft.schedules.schedule import Schedule, as_whole, check, whole


@dataclass(frozen=True)
class Constant(Schedule):
    """1: the peak all along (Robbins & Monro 1951 is why it should fall in the end)."""

    family: ClassVar[str] = "constant"
    horizon_free: ClassVar[bool] = True
    source: ClassVar[str] = "Robbins & Monro 1951, Annals of Mathematical Statistics 22"

    def shape(self, step: Any, ops: Any) -> Any:
        """Return 1."""
        return 0.0 * step + 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """factor^k after the k-th milestone (He et al. 2016: ÷10 at 32k and 48k steps).

    Attributes:
        at_steps: milestones, rising, counted from the very first step.
        factor: multiplies the rate at each.
    """

    at_steps: tuple[int, ...]
    factor: float = 0.1
    family: ClassVar[str] = "step"
    horizon_free: ClassVar[bool] = False
    source: ClassVar[str] = "He et al. 2016, arXiv 1512.03385, section 4.2"

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = tuple(as_whole(step, math.nan) for step in self.at_steps)
        rising = all(a < b for a, b in zip((self.warm_up - 1, *steps), steps))  # noqa: B905
        check(
            self, "at_steps", rising,
            "rising whole numbers of steps, none before the warm-up's end",
        )  # fmt: skip
        object.__setattr__(self, "at_steps", steps)
        check(self, "factor", 0 < self.factor <= 1, "a factor in (0, 1]")

    def shape(self, step: Any, ops: Any) -> Any:
        """Return factor to the power of the milestones passed."""
        share = 0.0 * step + 1.0
        for k, milestone in enumerate(self.at_steps, 1):
            share = ops.where(step >= milestone - self.warm_up, self.factor**k, share)
        return share


@dataclass(frozen=True)
class Exponential(Schedule):
    """decay^(t / every), or with its exponent rounded down: a staircase.

    Attributes:
        every: steps after which *decay* has been applied once.
        decay: factor in (0, 1].
        staircase: whether the rate stays constant in between.
    """

    every: int
    decay: float = 0.95
    staircase: bool = False
    family: ClassVar[str] = "exponential"
    horizon_free: ClassVar[bool] = True
    source: ClassVar[str] = "Goodfellow et al. 2016, Deep Learning, section 8.3.1; TensorFlow"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "every", 1, "steps")
        check(self, "decay", 0 < self.decay <= 1, "a factor in (0, 1]")

    def shape(self, step: Any, ops: Any) -> Any:
        """Return the power of the decay."""
        if self.staircase:  # half a step more: k·every/every must not be rounded below k
            return ops.power(self.decay, ops.floor((step + 0.5) / self.every))
        return ops.power(self.decay, step / self.every)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """f + (1 − f)·(1 − t/T)^power; linear decay at power 1.

    Attributes:
        steps: the horizon, warm-up included.
        power: above 0.
        final_ratio: f, the last rate's share of the peak.
    """

    steps: int
    power: float = 1.0
    final_ratio: float = 0.0
    family: ClassVar[str] = "polynomial"
    horizon_free: ClassVar[bool] = False
    source: ClassVar[str] = "Chen et al. 2017, DeepLab, arXiv 1606.00915, section 4.1.1"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_horizon(self, self.final_ratio)
        check(self, "power", 0 < self.power < math.inf, "a power above 0")

    def shape(self, step: Any, ops: Any) -> Any:
        """Return the power of what is left, above the final ratio."""
        left = ops.maximum(1.0 - step / (self.steps - self.warm_up), 0.0)
        return self.final_ratio + (1.0 - self.final_ratio) * ops.power(left, self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """f + (1 − f)·(1 + cos(π t/T))/2 (equation 5, in its first period).

    Attributes:
        steps: the horizon, warm-up included.
        final_ratio: f, the last rate's share of the peak.
    """

    steps: int
    final_ratio: float = 0.0
    family: ClassVar[str] = "cosine"
    horizon_free: ClassVar[bool] = False
    source: ClassVar[str] = "Loshchilov & Hutter 2017, SGDR, arXiv 1608.03983, equation 5"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_horizon(self, self.final_ratio)

    def shape(self, step: Any, ops: Any) -> Any:
        """Return half a cosine wave."""
        progress = ops.minimum(step / (self.steps - self.warm_up), 1.0)
        return _half_cosine(progress, 1.0, self.final_ratio, ops)


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Cosine again and again from the peak, each cycle *growth* times as long (SGDR's T_mult).

    Attributes:
        period: steps of the first cycle, T_0.
        cycles: how many; after the last the rate stays at the bottom.
        growth: T_mult, from 1 on; cycle lengths are rounded to whole steps.
        final_ratio: the bottom's share of the peak.
    """

    period: int
    cycles: int = 3
    growth: float = 1.0
    final_ratio: float = 0.0
    family: ClassVar[str] = "cosine_restarts"
    horizon_free: ClassVar[bool] = False
    source: ClassVar[str] = "Loshchilov & Hutter 2017, SGDR, arXiv 1608.03983, section 3"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "period", 1, "steps")
        whole(self, "cycles", 1, "cycles")
        check(self, "growth", 1 <= self.growth < math.inf, "a factor from 1 on")
        check(self, "final_ratio", 0 <= self.final_ratio <= 1, "a share in [0, 1]")

    def shape(self, step: Any, ops: Any) -> Any:
        """Return half a cosine wave of the cycle that holds the step."""
        lengths = [max(1, round(self.period * self.growth**i)) for i in range(self.cycles)]
        starts = [0, *accumulate(lengths)]
        share = 0.0 * step + 1.0
        for start, length in zip(starts[:-1], lengths, strict=True):
            progress = ops.minimum(ops.maximum((step - start) / length, 0.0), 1.0)
            wave = _half_cosine(progress, 1.0, self.final_ratio, ops)
            share = ops.where(step >= start, wave, share)
        return share


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from start_ratio to the peak in a share *rise* of the steps, then down to final_ratio.

    Both ways along half a cosine wave, as in fastai's form of the policy; the momentum, which Smith lets
    fall while the rate rises, is left alone. It brings its own warm-up: ``warm_up`` must be 0.

    Attributes:
        steps: the horizon.
        rise: share of the steps before the peak, in (0, 1).
        start_ratio: the first rate's share of the peak.
        final_ratio: the last rate's share of the peak.
    """

    steps: int
    rise: float = 0.3
    start_ratio: float = 0.04
    final_ratio: float = 4e-6
    family: ClassVar[str] = "one_cycle"
    horizon_free: ClassVar[bool] = False
    source: ClassVar[str] = (
        "Smith & Topin 2018, arXiv 1708.07120, section 3; Smith 2018, 1803.09820"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, "warm_up", self.warm_up == 0, "0: the rise is its warm-up")
        _check_horizon(self, self.final_ratio)
        check(self, "rise", 0 < self.rise < 1, "a share in (0, 1)")
        check(self, "start_ratio", 0 <= self.start_ratio <= 1, "a share in [0, 1]")

    def shape(self, step: Any, ops: Any) -> Any:
        """Return the wave up, then the wave down."""
        top = self.rise * self.steps
        up = ops.minimum(step / top, 1.0)
        down = ops.minimum(ops.maximum((step - top) / (self.steps - top), 0.0), 1.0)
        rising = _half_cosine(up, self.start_ratio, 1.0, ops)
        return ops.where(step < top, rising, _half_cosine(down, 1.0, self.final_ratio, ops))


@dataclass(frozen=True)
class WarmUpStableDecay(Schedule):
    """1, then in the last share *decay* of the steps linearly down to final_ratio.

    Training can be lengthened from any checkpoint of the stable part, so all but the end is free of the
    horizon.

    Attributes:
        steps: the horizon, warm-up included.
        decay: share of all steps in which the rate falls, in (0, 1]; no more than the warm-up leaves.
        final_ratio: the last rate's share of the peak.
    """

    steps: int
    decay: float = 0.2
    final_ratio: float = 0.0
    family: ClassVar[str] = "warm_up_stable_decay"
    horizon_free: ClassVar[bool] = False
    source: ClassVar[str] = "Hu et al. 2024, MiniCPM, arXiv 2404.06395, section 4; 2405.18392"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_horizon(self, self.final_ratio)
        check(self, "decay", 0 < self.decay <= 1, "a share in (0, 1]")
        left = 1 - self.warm_up / self.steps
        most = f"at most {left:.4g}, the share of the steps that the warm-up leaves"
        check(self, "decay", self.decay <= left + 1e-9, most)

    def shape(self, step: Any, ops: Any) -> Any:
        """Return the plateau, then the line down."""
        left = (self.steps - self.warm_up - step) / (self.decay * self.steps)
        share = ops.minimum(ops.maximum(left, 0.0), 1.0)
        return self.final_ratio + (1.0 - self.final_ratio) * share


@dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """√(w/s) at step s (counted from the very first), with w the warm-up, at least 1.

    The peak and the warm-up stand for the paper's d^−½ · warmup^−½.
    """

    family: ClassVar[str] = "inverse_square_root"
    horizon_free: ClassVar[bool] = True
    source: ClassVar[str] = "Vaswani et al. 2017, arXiv 1706.03762, section 5.3, equation 3"

    def shape(self, step: Any, ops: Any) -> Any:
        """Return the inverse square root."""
        start = float(max(self.warm_up, 1))
        return ops.sqrt(start / (step + start))


def _half_cosine(progress: Any, first: float, last: float, ops: Any) -> Any:
    return last + (first - last) * 0.5 * (1.0 + ops.cos(math.pi * progress))


def _check_horizon(owner: Any, final_ratio: float) -> None:
    whole(owner, "steps", 1, "steps")
    more = owner.steps > owner.warm_up
    check(owner, "steps", more, f"more steps than the warm-up's {owner.warm_up}")
    check(owner, "final_ratio", 0 <= final_ratio <= 1, "a share in [0, 1]")
