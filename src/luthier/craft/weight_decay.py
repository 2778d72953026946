"""Weight decay λ: one number in several notations, what it does, and how it follows other changes.

Throughout, λ (``weight_decay``) is what PyTorch, Keras and optax call so: in SGD the gradient becomes
g + λ w, in AdamW w shrinks by α λ w; either way a step takes α λ of the weight away (Krogh & Hertz 1991,
"A simple weight decay can improve generalization"). So what acts is the product α λ: whoever changes the
learning rate changes the decay, and the two are searched together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from luthier.craft.averaging import checked_beta
from luthier.craft.optimizers import checked_optimizer, is_adaptive
from luthier.errors import SpaceError

Pair = tuple[float, float]
Convention = Literal["gradient", "keras", "course"]


# -- one λ in several notations -------------------------------------------------------------------


def l2_factor(weight_decay: float, convention: Convention, examples: int | None = None) -> float:
    """Return the factor of an L2 penalty that adds λ w to the gradient, as others write it.

    ``"gradient"``: λ in λ/2 ‖w‖² (PyTorch's SGD). ``"keras"``: c in c ‖w‖², ``keras.regularizers.L2(c)``,
    which is λ / 2. ``"course"``: the λ of λ/(2m) ‖w‖² over m examples (Andrew Ng, "Improving Deep Neural
    Networks", week 1, "Regularization"), which is m times ours.

    Raises:
        SpaceError: a negative λ, an unknown convention, or no *examples* for ``"course"``.
    """
    decay = _checked(weight_decay)
    if convention == "gradient":
        return decay
    if convention == "keras":
        return decay / 2
    if convention == "course" and examples is not None and examples >= 1:
        return decay * examples
    raise SpaceError(
        f"convention={convention!r}, examples={examples!r}: expected 'gradient', 'keras', or 'course' "
        "with the number of training examples."
    )


def decoupled_from_l2(
    l2: float, learning_rate: float, momentum: float = 0.0, optimizer: str = "sgd"
) -> float:
    """Return the share of the weights that a step of SGD with an L2 penalty takes away: α λ / (1 - β).

    It is the λ of Loshchilov & Hutter 2019 (arXiv 1711.05101), w ← (1 - λ) w - …: without momentum
    exactly (proposition 1: λ' = λ / α), with it in the long run, since the penalty's part of the
    gradient is used again in later steps. As ``weight_decay`` of an optimizer that multiplies by α
    (SGDW in PyTorch's or Keras's manner), divide by α.

    Raises:
        SpaceError: an adaptive optimizer, where no λ does the same (proposition 2); or numbers that
            cannot be.
    """
    return _checked(l2) * _rate(learning_rate) / _one_minus(momentum, optimizer)


def l2_from_decoupled(
    decoupled: float, learning_rate: float, momentum: float = 0.0, optimizer: str = "sgd"
) -> float:
    """Return the L2 factor that takes the share *decoupled* of the weights away in a step of SGD.

    The inverse of ``decoupled_from_l2``.

    Raises:
        SpaceError: an adaptive optimizer (proposition 2), or numbers that cannot be.
    """
    return _checked(decoupled) * _one_minus(momentum, optimizer) / _rate(learning_rate)


def normalised(weight_decay: float, batch_size: int, examples: int, epochs: float) -> float:
    """Return λ_norm = λ / sqrt(b / (B T)), which is comparable between runs of different length.

    With b the batch size, B the examples and T the epochs: Loshchilov & Hutter 2019, appendix B.1, on
    their λ, the share that a step takes away. They found 0.025 to 0.05 good on CIFAR-10 and ImageNet32.

    Raises:
        SpaceError: a negative λ, or less than one example or batch.
    """
    return _checked(weight_decay) / _normaliser(batch_size, examples, epochs)


def from_normalised(norm: float, batch_size: int, examples: int, epochs: float) -> float:
    """Return λ = λ_norm sqrt(b / (B T)), the inverse of ``normalised``.

    Raises:
        SpaceError: a negative λ_norm, or less than one example or batch.
    """
    return _checked(norm) * _normaliser(batch_size, examples, epochs)


# -- what α λ does ---------------------------------------------------------------------------------


def timescale(learning_rate: float, weight_decay: float) -> float:
    """Return over how many steps the weights average their updates: 1 / (α λ).

    Decayed weights are an exponentially weighted average of the updates, with β = 1 - α λ (Wang &
    Aitchison 2024, arXiv 2405.13698). Far fewer steps than training has, and the start is forgotten; far
    more, and λ does next to nothing.

    Raises:
        SpaceError: a learning rate or a λ that is not above 0.
    """
    if not weight_decay > 0:
        raise SpaceError(f"weight_decay={weight_decay!r}: expected a number above 0.")
    return 1 / (_rate(learning_rate) * weight_decay)


def angular_step(learning_rate: float, weight_decay: float) -> float:
    """Return by what angle SGD turns the weights of a normalised layer in a step, in the end: sqrt(2 α λ).

    Before batch or layer normalisation the scale of the weights changes nothing but the effective
    learning rate α / ‖w‖² (van Laarhoven 2017, arXiv 1706.05350). Steps make ‖w‖ grow, decay
    makes it shrink; where they balance, α and λ matter only by their product (Wan et al. 2020,
    arXiv 2006.08419). In radians, for small steps, without momentum.

    Raises:
        SpaceError: numbers that cannot be.
    """
    return math.sqrt(2 * _rate(learning_rate) * _checked(weight_decay))


# -- when other things change ----------------------------------------------------------------------


@dataclass(frozen=True)
class Rescaled:
    """A weight decay after a change of something else.

    Attributes:
        weight_decay: the new λ.
        words: what was done, and by which rules.
    """

    weight_decay: float
    words: str


def rescaled(
    weight_decay: float,
    optimizer: str = "sgd",
    *,
    learning_rate: Pair | None = None,
    batch_size: Pair | None = None,
    epochs: Pair | None = None,
    examples: Pair | None = None,
) -> Rescaled:
    """Return the λ that regularises alike after other things have changed.

    - The learning rate: α λ stays (see ``angular_step``), so λ goes the other way.
    - The batch size: for SGD the decay of an epoch stays, so α λ goes with b; for AdamW with √b
      (Loshchilov & Hutter 2019, appendix B.1). If the learning rate is rescaled with the batch size by the
      rules of ``luthier.craft.batch_size.rescaled``, give both changes: λ then stays as it was, as in
      Goyal et al. 2017 (section 5.1: λ is 0.0001 for all batch sizes).
    - Epochs or examples: α λ goes with 1 / √(B T), the normalised weight decay of the same appendix, whose
      authors call it "merely one possibility informed by few experiments".

    For adaptive optimizers λ is the decoupled one: AdamW's, or Keras's ``weight_decay``. For an L2 penalty
    in Adam's gradient there is no such rule (proposition 2); use AdamW.

    Args:
        weight_decay: the λ that was good.
        optimizer: as for ``luthier.craft.momentum.domains``.
        learning_rate: (before, now).
        batch_size: (before, now), in examples.
        epochs: (before, now).
        examples: (before, now), of the training set.

    Raises:
        SpaceError: a number that is not above 0.
    """
    decay, adaptive = _checked(weight_decay), is_adaptive(optimizer)
    words: list[str] = []
    if learning_rate is not None:
        decay /= _change("learning_rate", learning_rate)
        words.append(_said("learning rate", learning_rate, "keeps the product of rate and decay"))
    if batch_size is not None:
        change = _change("batch_size", batch_size)
        decay *= math.sqrt(change) if adaptive else change
        rule = (
            "changes the decay of a step by the square root (Loshchilov & Hutter 2019, B.1)"
            if adaptive
            else "keeps the decay of an epoch (Goyal et al. 2017)"
        )
        words.append(_said("batch size", batch_size, rule))
    for what, pair in (("epochs", epochs), ("examples", examples)):
        if pair is not None:
            decay /= math.sqrt(_change(what, pair))
            rule = "changes it by one over the square root (Loshchilov & Hutter 2019, B.1)"
            words.append(_said(what, pair, rule))
    kind = "decoupled weight decay" if adaptive else "weight decay"
    same = math.isclose(decay, weight_decay)
    so = f"{kind} stays" if same else f"{kind} {weight_decay:.3g} to {decay:.3g}"
    return Rescaled(decay, f"{checked_optimizer(optimizer)}: {'; '.join([so, *words])}.")


def _said(what: str, pair: Pair, rule: str) -> str:
    return f"{what} {pair[0]:g} to {pair[1]:g} {rule}"


def _change(what: str, pair: Pair) -> float:
    before, now = pair
    if not (before > 0 and now > 0):
        raise SpaceError(f"{what}={pair!r}: expected (before, now), both above 0.")
    return now / before


def _normaliser(batch_size: int, examples: int, epochs: float) -> float:
    if batch_size < 1 or examples < 1 or not epochs > 0:
        raise SpaceError(
            f"batch_size={batch_size!r}, examples={examples!r}, epochs={epochs!r}: expected 1 or more "
            "examples, and epochs above 0."
        )
    return math.sqrt(batch_size / (examples * epochs))


def _one_minus(momentum: float, optimizer: str) -> float:
    if is_adaptive(optimizer):
        raise SpaceError(
            f"{optimizer}: an L2 penalty and decoupled decay differ for adaptive optimizers, and no "
            "factor makes them equal (Loshchilov & Hutter 2019, proposition 2). Search the decoupled "
            "decay anew, from luthier.craft.regularisation.domains."
        )
    return 1 - checked_beta(momentum, "momentum")


def _checked(decay: float) -> float:
    if not 0 <= decay < math.inf:
        raise SpaceError(f"weight_decay={decay!r}: expected 0 or more.")
    return float(decay)


def _rate(learning_rate: float) -> float:
    if not 0 < learning_rate < math.inf:
        raise SpaceError(f"learning_rate={learning_rate!r}: expected a number above 0.")
    return float(learning_rate)
