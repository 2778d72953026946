"""Carrying a learning rate from a narrow net to a wide one: the maximal update parametrisation.

Source: Yang, Hu et al. 2022, "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot
Hyperparameter Transfer" (arXiv 2203.03466), Table 3. In the usual parametrisation the best learning
rate of a wider net is smaller; in this one every layer's outputs change by as much as in the narrow net,
and the best rate stays where it was. ``examples/learning_rate_across_width.py`` shows both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from luthier.craft.optimizers import is_adaptive
from luthier.errors import SpaceError, nearest

Part = Literal["input", "hidden", "output", "bias", "output_bias"]


@dataclass(frozen=True)
class Multipliers:
    """What one part of a net needs at a new width, relative to the usual parametrisation.

    Attributes:
        initial_scale: times the standard deviation of an initialisation with variance c / fan_in
            (He, LeCun, PyTorch's default), c as in the base net.
        learning_rate: times the learning rate that was best in the base net.
    """

    initial_scale: float
    learning_rate: float


def multipliers(part: Part, optimizer: str, width: int, base_width: int) -> Multipliers:
    """Return the multipliers of one part of a net whose hidden layers have grown.

    With r = width / base_width, Table 3 reads:

    ============  ===================  ========  =========
    part          initial scale        SGD rate  Adam rate
    ============  ===================  ========  =========
    input, bias   1                    r         1
    hidden        1                    1         1 / r
    output        1 / sqrt(r)          1 / r     1 / r
    output_bias   1                    1         1
    ============  ===================  ========  =========

    The table's output weights have variance 1 / fan_in², which is 1 / r of the usual 1 / fan_in. At
    r = 1 nothing changes, so the base net is tuned as it is. For Adam's row, epsilon must be small
    against the gradients; RMSprop follows it too. AdamW's decay in Keras and PyTorch is multiplied by
    the learning rate: multiply it by r where the rate is divided by r, to shrink weights as before.

    Args:
        part: ``"input"``: weights from inputs of fixed size to a hidden layer. ``"hidden"``: between
            two layers that both grow. ``"output"``: from a hidden layer to outputs of fixed number.
            ``"bias"``: of a layer that grows. ``"output_bias"``: of the outputs.
        optimizer: ``"sgd"``, ``"momentum"``, ``"nesterov"``, ``"adam"``, ``"adamw"``, ``"nadam"`` or
            ``"rmsprop"``.
        width: units of the hidden layers now.
        base_width: units of the hidden layers of the net that was tuned.

    Raises:
        SpaceError: an unknown part or optimizer, or a width below 1.
    """
    if part not in get_args(Part):
        raise SpaceError(
            f"part={part!r}: expected one of {', '.join(map(repr, get_args(Part)))}."
            f"{nearest(str(part), get_args(Part))}"
        )
    if width < 1 or base_width < 1:
        raise SpaceError(
            f"width={width!r}, base_width={base_width!r}: expected the numbers of units of the "
            "hidden layers, 1 or more."
        )
    ratio = width / base_width
    if part == "output_bias":
        return Multipliers(1.0, 1.0)
    if part == "output":
        return Multipliers(1 / math.sqrt(ratio), 1 / ratio)
    if part == "hidden":
        return Multipliers(1.0, 1 / ratio if is_adaptive(optimizer) else 1.0)
    return Multipliers(1.0, 1.0 if is_adaptive(optimizer) else ratio)
