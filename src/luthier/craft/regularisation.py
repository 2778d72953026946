"""Regularisation: the ranges of weight decay λ, dropout and label smoothing.

λ is coupled with the learning rate, the batch size and the length of training; ``weight_decay`` has the
formulas, which are to be had from here as well.
"""

from __future__ import annotations

import math

from luthier.craft.optimizers import is_adaptive
from luthier.craft.weight_decay import (
    Rescaled,
    angular_step,
    decoupled_from_l2,
    from_normalised,
    l2_factor,
    l2_from_decoupled,
    normalised,
    rescaled,
    timescale,
)
from luthier.errors import SpaceError
from luthier.space import Float
from luthier.space.domains import Domain

__all__ = [
    "Rescaled",
    "angular_step",
    "decoupled_from_l2",
    "domains",
    "from_normalised",
    "l2_factor",
    "l2_from_decoupled",
    "normalised",
    "rescaled",
    "smallest_loss",
    "timescale",
]


def domains(optimizer: str = "adamw", classes: int | None = None) -> dict[str, Domain]:
    """Return ``weight_decay``, ``dropout`` and for classes ``label_smoothing`` as domains.

    ===================  ========================================================================
    ``weight_decay``     SGD: 1e-6 to 1e-2 in logarithm, default 1e-4 (He et al. 2015, section 3.4).
                         AdamW and its kin: 1e-4 to 1, default 1e-2 (PyTorch's), as their α is smaller by
                         as much as α λ must stay the same
    ``dropout``          0 to 0.5, linear, default 0.1: the share that is dropped. 0.5 is the most that
                         Srivastava et al. 2014 (appendix A) recommend for hidden units
    ``label_smoothing``  0 to 0.2, linear, default 0. 0.1 is Szegedy et al.'s 2015 (arXiv 1512.00567,
                         section 7); it raises the smallest possible loss, see ``smallest_loss``
    ===================  ========================================================================

    Args:
        optimizer: as for ``luthier.craft.momentum.domains``.
        classes: how many classes are told apart; None or 1 for numbers, which have no labels to smooth.

    Raises:
        SpaceError: an optimizer that the craft does not know.
    """
    decay = (
        Float(1e-4, 1.0, scale="log", default=1e-2)
        if is_adaptive(optimizer)
        else Float(1e-6, 1e-2, scale="log", default=1e-4)
    )
    found: dict[str, Domain] = {"weight_decay": decay, "dropout": Float(0.0, 0.5, default=0.1)}
    if classes is not None and classes > 1:
        found["label_smoothing"] = Float(0.0, 0.2, default=0.0)
    return found


def smallest_loss(label_smoothing: float, classes: int) -> float:
    """Return the least cross-entropy that a net can reach on smoothed labels, in nats.

    The entropy of the labels themselves: 1 - ε + ε/K for the right class and ε/K for each other (Szegedy
    et al. 2015, section 7). 0.5003 for ε = 0.1 and 10 classes. So losses of trials with different
    smoothing cannot be compared: judge them by accuracy, or by the loss on plain labels.

    Raises:
        SpaceError: a smoothing outside [0, 1], or less than 2 classes.
    """
    if not 0 <= label_smoothing <= 1 or classes < 2:
        raise SpaceError(
            f"label_smoothing={label_smoothing!r}, classes={classes!r}: expected a share from 0 to 1 "
            "and 2 classes or more."
        )
    other = label_smoothing / classes
    right = 1 - label_smoothing + other
    rest = (classes - 1) * other * math.log(other) if other > 0 else 0.0
    return -(right * math.log(right) + rest) + 0.0
