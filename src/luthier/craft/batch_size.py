"""Batch size: measured, then fixed; and what a change of it does to the learning rate.

``luthier.craft.throughput.find`` measures the largest that fits and the smallest that is as fast. A
batch size is not tuned for the validation metric: with all else tuned anew, the same result can be had
with any (Shallue et al. 2018, arXiv 1811.03600). Changing it changes the best learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from luthier.craft.averaging import checked_beta
from luthier.craft.optimizers import checked_optimizer, is_adaptive
from luthier.craft.throughput import Throughput, Timing, find, survey
from luthier.errors import SpaceError
from luthier.space import Constant, Int
from luthier.space.domains import Domain

__all__ = ["Rescaled", "Throughput", "Timing", "domains", "find", "rescaled", "survey"]

_FEWEST_STEPS = 20  # an epoch of fewer steps hardly trains
_SMALL, _LARGE, _USUAL = 16, 512, 64


def domains(examples: int | None = None) -> dict[str, Domain]:
    """Return the batch size's range, for those who cannot measure it and want to search.

    16 to 512 in logarithm, 64 by default; the upper end falls to a twentieth of the examples, so that
    an epoch has 20 steps, but not below 32 (or all examples). Bengio 2012 (arXiv 1206.5533, section 3.1.1)
    starts from 32; Masters & Luschi 2018 (arXiv 1804.07612) find the best at 32 or below.

    Args:
        examples: how many training examples there are, if known.

    Raises:
        SpaceError: no examples.
    """
    if examples is None:
        return {"batch_size": Int(_SMALL, _LARGE, scale="log", default=_USUAL)}
    if examples < 1:
        raise SpaceError(f"examples={examples!r}: expected how many training examples there are.")
    enough_steps = 2 ** int(math.log2(max(1, examples / _FEWEST_STEPS)))
    high = min(_LARGE, max(2 * _SMALL, enough_steps), examples)
    low = min(_SMALL, max(1, high // 4))
    if low == high:  # one example
        return {"batch_size": Constant(high)}
    return {"batch_size": Int(low, high, scale="log", default=min(_USUAL, high))}


@dataclass(frozen=True)
class Rescaled:
    """A learning rate for another batch size, and what else changes with it.

    Attributes:
        learning_rate: the new one.
        others: new values of those other hyperparameters that were given, by name.
        words: what was done, by which rule, and where it stops being true.
    """

    learning_rate: float
    others: Mapping[str, float] = field(default_factory=dict[str, float])
    words: str = ""


def rescaled(
    learning_rate: float,
    from_batch: int,
    to_batch: int,
    optimizer: str = "sgd",
    *,
    beta_1: float | None = None,
    beta_2: float | None = None,
    rho: float | None = None,
    epsilon: float | None = None,
) -> Rescaled:
    """Return the learning rate that trains alike with another batch size, over as many epochs.

    With κ = to_batch / from_batch. SGD: α κ, momentum unchanged (the linear scaling rule: Goyal et al.
    2017, arXiv 1706.02677, section 2.1). RMSprop and Adam: α √κ, and 1 - β → κ (1 - β) for ρ, β₁ and β₂,
    ε → ε / √κ (the square root scaling rule: Malladi et al. 2022, arXiv 2205.10287, section 5): the
    averages then reach back over as many examples as before.

    Args:
        learning_rate: what was good with *from_batch*.
        from_batch: examples a step before.
        to_batch: examples a step now.
        optimizer: as for ``luthier.craft.momentum.domains``.
        beta_1: Adam's, to be rescaled as well; so are *beta_2*, RMSprop's *rho*, and *epsilon*.
        beta_2: see there.
        rho: see there.
        epsilon: see there.

    Raises:
        SpaceError: a learning rate, a batch size or an average that cannot be; another optimizer.
    """
    if not learning_rate > 0 or from_batch < 1 or to_batch < 1:
        raise SpaceError(
            f"learning_rate={learning_rate!r}, from_batch={from_batch!r}, to_batch={to_batch!r}: "
            "expected a rate above 0 and batches of 1 or more examples."
        )
    ratio = to_batch / from_batch
    name = checked_optimizer(optimizer)
    if not is_adaptive(name):
        rate = learning_rate * ratio
        return Rescaled(rate, words=_sgd_words(learning_rate, rate, from_batch, to_batch))
    rate = learning_rate * math.sqrt(ratio)
    others: dict[str, float] = {}
    lost: list[str] = []
    for key, beta in (("beta_1", beta_1), ("beta_2", beta_2), ("rho", rho)):
        if beta is not None:
            memory = 1 - ratio * (1 - checked_beta(beta, key))
            others[key] = memory if memory > 1e-9 else 0.0
            lost += [] if others[key] else [key]
    if epsilon is not None:
        others["epsilon"] = epsilon / math.sqrt(ratio)
    words = _adaptive_words(name, learning_rate, rate, from_batch, to_batch, others, lost)
    return Rescaled(rate, others, words)


def _sgd_words(before: float, after: float, from_batch: int, to_batch: int) -> str:
    words = (
        f"Batch size {from_batch} to {to_batch}: learning rate {before:.3g} to {after:.3g}, in "
        "proportion, for SGD (linear scaling, Goyal et al. 2017). The momentum stays."
    )
    if to_batch > from_batch:
        words += (
            " Warm the rate up over the first epochs, and search it anew: the rule fails once the "
            "rate reaches the largest stable one."
        )
    return words


def _adaptive_words(
    optimizer: str,
    before: float,
    after: float,
    from_batch: int,
    to_batch: int,
    others: Mapping[str, float],
    lost: list[str],
) -> str:
    words = (
        f"Batch size {from_batch} to {to_batch}: learning rate {before:.3g} to {after:.3g}, by the "
        f"square root, for {optimizer} (Malladi et al. 2022)."
    )
    if others:
        changed = ", ".join(f"{name} to {value:.6g}" for name, value in others.items())
        words += f" With it {changed}, so that averages reach back over as many examples as before."
    else:
        words += (
            " The rule changes 1 - beta in proportion too (and epsilon by one over the root): give "
            "them to have them rescaled."
        )
    if lost:
        words += (
            f" No memory is left in {' and '.join(lost)}: the step is longer than what it averaged "
            "over, where the rule no longer holds. Search it anew."
        )
    return words
