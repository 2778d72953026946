"""Reduce on plateau: the rate falls when the metric no longer improves.

One state machine: Keras's callback, PyTorch's scheduler and loops of one's own all call ``Plateau.step``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from luthier.craft.schedules.schedule import check, whole


class PlateauState(NamedTuple):
    """What is remembered between two evaluations: four numbers, so any checkpoint can hold it.

    Attributes:
        rate: the present learning rate.
        best: the best metric so far; ±infinity before the first.
        waited: evaluations since it improved (or since the last reduction).
        reductions: how often the rate has been reduced.
    """

    rate: float
    best: float
    waited: int
    reductions: int


@dataclass(frozen=True)
class Plateau:
    """Multiply the rate by a factor after *patience* evaluations in a row without improvement.

    ``Plateau(1e-2, factor=(0.1, 0.01), floor=1e-5)`` goes 10⁻² → 10⁻³ → 10⁻⁵. A metric that is NaN is no
    improvement.

    ::

        plateau = Plateau(1e-2, patience=3)
        state = plateau.start()
        for epoch in trial.epochs(State(params=params, plateau=state)):
            ... train with state.rate ...
            state = plateau.step(state, validation_loss)

    Attributes:
        peak: the first rate.
        factor: of each reduction, in (0, 1); of several, the k-th is for the k-th reduction, the last for
            all that follow.
        patience: evaluations without improvement that are borne; with 0 the first one reduces.
        floor: the rate never falls below it.
        least_change: an improvement is by more than this (in the metric's unit).
        mode: whether the metric is to be small (``"min"``) or large (``"max"``).
        source: where it was published.
    """

    peak: float
    factor: float | tuple[float, ...] = 0.1
    patience: int = 5
    floor: float = 0.0
    least_change: float = 0.0
    mode: Literal["min", "max"] = "min"
    family: ClassVar[str] = "plateau"
    horizon_free: ClassVar[bool] = True
    source: ClassVar[str] = "Bengio 2012, arXiv 1206.5533, section 3.1; Krizhevsky et al. 2012, 5"

    def __post_init__(self) -> None:
        if isinstance(self.factor, list):
            object.__setattr__(self, "factor", tuple(self.factor))
        factors = self._factors
        check(self, "peak", 0 < self.peak < math.inf, "a learning rate above 0")
        between = bool(factors) and all(0 < factor < 1 for factor in factors)
        check(self, "factor", between, "a factor in (0, 1), or several")
        whole(self, "patience", 0, "evaluations")
        check(self, "floor", 0 <= self.floor <= self.peak, f"a rate in [0, {self.peak}]")
        check(self, "least_change", self.least_change >= 0, "a change from 0 on")
        check(self, "mode", self.mode in ("min", "max"), "'min' or 'max'")

    def start(self) -> PlateauState:
        """Return the state before the first evaluation."""
        return PlateauState(float(self.peak), math.inf if self.mode == "min" else -math.inf, 0, 0)

    def step(self, state: PlateauState, metric: float) -> PlateauState:
        """Return the state after an evaluation; ``.rate`` is the rate to train on with."""
        metric = float(metric)
        gain = state.best - metric if self.mode == "min" else metric - state.best
        if gain > self.least_change:
            return state._replace(best=metric, waited=0)
        waited = state.waited + 1
        if waited <= self.patience or state.rate <= self.floor:
            return state._replace(waited=waited)
        factor = self._factors[min(state.reductions, len(self._factors) - 1)]
        rate = max(state.rate * factor, float(self.floor))
        return PlateauState(rate, state.best, 0, state.reductions + 1)

    @property
    def _factors(self) -> tuple[float, ...]:
        return self.factor if isinstance(self.factor, tuple) else (self.factor,)
