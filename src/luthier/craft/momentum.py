"""Momentum: ranges of β, ρ, β₁, β₂ and ε for each optimizer, and what β does to the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from luthier.craft.averaging import averaged_steps, averages, beta_of, checked_beta, weight_left
from luthier.craft.optimizers import ADAM, checked_optimizer, is_adaptive
from luthier.errors import SpaceError
from luthier.space import Constant, Float
from luthier.space.domains import Domain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "averaged_steps",
    "averages",
    "beta_of",
    "domains",
    "effective_learning_rate",
    "picture",
    "rescaled",
    "weight_left",
]

_MEMORY = "one_minus_log"


def domains(optimizer: str, trials: int | None = None) -> dict[str, Domain]:
    """Return what to search of an optimizer besides its learning rate, by name.

    ==================  ====================================================================
    ``sgd``             ``momentum`` 0.9 to 0.999, on 1 - β in logarithm (Andrew Ng, "Improving
                        Deep Neural Networks", week 3, "Using an appropriate scale"); 0.9 by default.
                        The same for ``nesterov``
    ``rmsprop``         ``rho`` 0.9 to 0.999, default 0.9 (Hinton's Coursera lecture 6e), ``epsilon``
    ``adam`` and kin    ``beta_1`` 0.8 to 0.99, default 0.9; ``beta_2`` 0.9 to 0.9999, default 0.999;
                        ``epsilon`` (Kingma & Ba 2014, algorithm 1: 0.9, 0.999, 1e-8)
    ==================  ====================================================================

    epsilon is searched over 1e-10 to 1e-2 in logarithm. It is no mere guard against a division by zero:
    the larger it is, the more Adam is like SGD with momentum, and its best value differs by orders of
    magnitude between problems (Choi et al. 2019, arXiv 1910.05446).

    Args:
        optimizer: ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"rmsprop"``, ``"adam"``, ``"adamw"`` or
            ``"nadam"``.
        trials: how many trials there will be; None: everything is searched. Of Adam's, below 10
            trials nothing is worth searching but the learning rate, from 10 on beta_1, from 25 on
            epsilon too, and beta_2 with "substantially more": here 50 (Deep Learning Tuning Playbook,
            "How should Adam's hyperparameters be tuned?"). By the same measure, RMSprop's rho from 10
            on and epsilon from 25 on, and SGD's momentum from 10 on. The others are constants.

    Raises:
        SpaceError: an optimizer that the craft does not know.
    """
    name = checked_optimizer(optimizer)
    first = "rho" if name == "rmsprop" else "beta_1" if is_adaptive(name) else "momentum"
    low, high = (0.8, 0.99) if first == "beta_1" else (0.9, 0.999)
    found = {first: _worth(10, trials, Float(low, high, scale=_MEMORY, default=0.9))}
    if name in ADAM:
        beta_2 = Float(0.9, 0.9999, scale=_MEMORY, default=0.999)
        found["beta_2"] = _worth(50, trials, beta_2)
    if is_adaptive(name):
        default = 1e-8 if name in ADAM else 1e-7
        found["epsilon"] = _worth(25, trials, Float(1e-10, 1e-2, scale="log", default=default))
    return found


def _worth(least: int, trials: int | None, domain: Float) -> Domain:
    """Return the domain, or its default as a constant where there are too few trials to search it."""
    return domain if trials is None or trials >= least else Constant(domain.default)


def effective_learning_rate(learning_rate: float, momentum: float) -> float:
    """Return how far one gradient moves the weights in the end: α / (1 - β).

    For v ← β v + g, w ← w - α v, as SGD is written in PyTorch, Keras and optax: a gradient is used
    again in each later step, by β, β², … (Shallue et al. 2018, arXiv 1811.03600, call it the effective
    learning rate). Where v ← β v + (1 - β) g, as in Andrew Ng's course and in Adam, it is α.

    Raises:
        SpaceError: a learning rate that is not above 0, or a momentum outside [0, 1).
    """
    if not learning_rate > 0:
        raise SpaceError(f"learning_rate={learning_rate!r}: expected a number above 0.")
    return learning_rate / (1 - checked_beta(momentum, "momentum"))


def rescaled(learning_rate: float, from_momentum: float, to_momentum: float) -> float:
    """Return the learning rate that keeps α / (1 - β) when the momentum changes.

    From 0.9 to 0.99 that is a tenth. A start for the search, not the answer: it keeps how far a gradient
    moves the weights, and close to the largest stable rate not whether that is stable.

    Raises:
        SpaceError: a learning rate that is not above 0, or a momentum outside [0, 1).
    """
    kept = effective_learning_rate(learning_rate, from_momentum)
    return kept * (1 - checked_beta(to_momentum, "to_momentum"))


def noisy_series(days: int = 365, seed: int = 0) -> NDArray[np.float64]:
    """Return a year's daily temperatures, made up: a wave from 3 to 19 °C with noise of 3 °C, (days,)."""
    random = np.random.default_rng(seed)
    wave = 11 - 8 * np.cos(2 * np.pi * np.arange(days) / 365)
    return wave + random.normal(0, 3, days)


def picture(betas: Sequence[float] = (0.9, 0.98), values: ArrayLike | None = None) -> Figure:
    """Draw a noisy series with its exponentially weighted averages, bias correction on and off.

    Left the whole series, right its first 50 steps, where the correction matters. A small β follows
    the series and stays noisy; one close to 1 is smooth and late. (The picture of Andrew Ng's course.)

    Args:
        betas: one average each.
        values: (n,) the series; by default a made-up year of daily temperatures.

    Returns:
        A matplotlib figure; ``figure.savefig("momentum.png")``.

    Raises:
        SpaceError: a beta outside [0, 1).
        ModuleNotFoundError: matplotlib is missing: pip install 'luthier[plot]'.
    """
    from matplotlib.figure import Figure

    series = noisy_series() if values is None else np.asarray(values, dtype=np.float64)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    whole, start = figure.subplots(1, 2, width_ratios=(3, 2))
    for axes in (whole, start):
        _draw(axes, series, betas)
    whole.set_title("Exponentially weighted averages")
    start.set_title("the first 50 steps")
    first = min(50, len(series))
    seen = [series[:first], *(averages(series, beta)[:first] for beta in betas)]
    low, high = min(part.min() for part in seen), max(part.max() for part in seen)
    start.set(xlim=(0, first + 1), ylim=(low - 0.05 * (high - low), high + 0.05 * (high - low)))
    handles, labels = whole.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw(axes: Any, series: NDArray[np.float64], betas: Sequence[float]) -> None:
    steps = np.arange(1, len(series) + 1)
    axes.plot(steps, series, ".", color="0.75", markersize=4, label="values")
    for number, beta in enumerate(betas):
        span = f"β = {beta:g}, about {averaged_steps(beta):.0f} steps"
        color = f"C{number}"
        axes.plot(steps, averages(series, beta), "--", color=color, label=f"{span}, uncorrected")
        corrected = averages(series, beta, bias_correction=True)
        axes.plot(steps, corrected, color=color, label=f"{span}, bias corrected")
    axes.set(xlabel="step", ylabel="value")
    axes.spines[["top", "right"]].set_visible(False)
