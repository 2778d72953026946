"""Width: how many units a hidden layer gets, and which shape the layers make together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

from luthier.craft.heaton import Rules, disagreements, rules
from luthier.errors import SpaceError, nearest
from luthier.space import Choice, Constant, Int
from luthier.space.domains import Domain

__all__ = [
    "Family",
    "Rules",
    "Suggestion",
    "disagreements",
    "domains",
    "hidden",
    "parameters",
    "rules",
    "suggestion",
    "units_for",
    "widths",
]

Family = Literal["constant", "pyramid", "diamond"]
FAMILIES: tuple[Family, ...] = get_args(Family)
_NARROW, _WIDE, _WIDEST = 16, 512, 4096  # what nets have that win on tables and small images


@dataclass(frozen=True)
class Suggestion:
    """What to start from when the number of units is to be searched.

    Attributes:
        rules: Heaton's three.
        units: the range to search, on a log scale.
        warnings: sentences, one for each disagreement of the rules with each other or with practice.
    """

    rules: Rules
    units: Int
    warnings: tuple[str, ...]


def suggestion(inputs: int, outputs: int, examples: int | None = None) -> Suggestion:
    """Return Heaton's rules for a net, a range of units that holds what they suggest, and warnings.

    The range goes from 16 to 512 on a log scale, which is where nets for tables and small images do well
    (Gorishniy et al. 2021, arXiv 2106.11959, appendix, search up to 512 or 1,024), and is widened to
    hold the rule of two thirds: to the next power of two above it, at most 4,096; or down to it. So the
    rules widen the search and never narrow it. Its default is the power of two in the middle.

    Args:
        inputs: numbers in one example.
        outputs: numbers that the net returns, such as classes.
        examples: how many training examples there are, if known.

    Raises:
        SpaceError: less than one of any.
    """
    found = rules(inputs, outputs)
    low = max(1, min(_NARROW, found.two_thirds))
    high = min(_WIDEST, max(_WIDE, 2 ** math.ceil(math.log2(found.two_thirds))))
    middle = 2 ** round(math.log2(low * high) / 2)
    units = Int(low, high, scale="log", default=middle)
    return Suggestion(found, units, tuple(disagreements(inputs, outputs, examples)))


def domains(
    inputs: int,
    outputs: int,
    *,
    layers: tuple[int, int] = (1, 4),
    families: Sequence[Family] = ("constant",),
    each_layer: bool = False,
) -> dict[str, Domain]:
    """Return ``layers``, ``units`` and ``family`` as domains, each active where it matters.

    Args:
        inputs: numbers in one example.
        outputs: numbers that the net returns.
        layers: the fewest and the most hidden layers.
        families: shapes to choose between; the choice exists where there are two layers or more. A
            single one, unless it is "constant", is a constant of that name. Read a configuration back with
            ``hidden``.
        each_layer: a width for every layer of its own, ``units_1``, ``units_2``, …, active where the
            layer is there, instead of one ``units`` and a family. It multiplies what is to be searched,
            and rarely pays: layers of one size did as well as pyramids or better in Larochelle et al.
            2009, as Bengio 2012 (arXiv 1206.5533, section 3.2) sums up.

    Raises:
        SpaceError: sizes, layers or families that cannot be.
    """
    fewest, most = layers
    if not 1 <= fewest <= most:
        raise SpaceError(f"layers={layers!r}: expected the fewest and the most, from 1 upwards.")
    units = suggestion(inputs, outputs).units
    depth = Int(fewest, most, default=min(max(2, fewest), most)) if fewest < most else None
    found: dict[str, Domain] = {"layers": depth or Constant(fewest)}
    if each_layer:
        for number in range(1, most + 1):
            deep_enough = tuple(range(max(number, fewest), most + 1))
            own = units if number <= fewest else units.when(layers=deep_enough)
            found[f"units_{number}"] = own
        return found
    found["units"] = units
    chosen = [checked_family(family) for family in families]
    if len(chosen) > 1 and most > 1:
        family = Choice(*chosen)
        several = tuple(range(max(2, fewest), most + 1))
        found["family"] = family if fewest > 1 else family.when(layers=several)
    elif chosen not in ([], ["constant"]) and most > 1:
        found["family"] = Constant(
            chosen[0]
        )  # for ``hidden``, which takes what says nothing for constant
    return found


def hidden(configuration: Mapping[str, Any], outputs: int) -> tuple[int, ...]:
    """Return the widths of the hidden layers that a configuration of ``domains`` means.

    Raises:
        SpaceError: the configuration has no layers or no units.
    """
    if "layers" not in configuration or not {"units", "units_1"} & set(configuration):
        raise SpaceError(
            "The configuration needs 'layers' and either 'units' or 'units_1', 'units_2', …; it has "
            f"{', '.join(map(repr, configuration))}."
        )
    layers = configuration["layers"]
    if "units" not in configuration:
        return tuple(configuration[f"units_{number}"] for number in range(1, layers + 1))
    family = configuration.get("family", "constant")
    return widths(family, configuration["units"], layers, outputs)


# -- families ------------------------------------------------------------------------------------


def widths(family: Family, units: int, layers: int, outputs: int = 1) -> tuple[int, ...]:
    """Return the width of each hidden layer, first to last.

    ``constant``: *units* everywhere. ``pyramid``: from *units* down towards the outputs in equal ratios,
    so that the output layer would be next (the geometric pyramid: Masters 1993, "Practical Neural Network
    Recipes in C++"). ``diamond``: *units* in the middle, half of them at both ends.

    Args:
        family: the shape.
        units: of the widest layer; of the narrowest where a pyramid has more outputs than units.
        layers: how many hidden layers.
        outputs: how many numbers the net returns.

    Raises:
        SpaceError: an unknown family, or less than one of any.
    """
    checked_family(family)
    if units < 1 or layers < 1 or outputs < 1:
        raise SpaceError(
            f"units={units!r}, layers={layers!r}, outputs={outputs!r}: expected 1 or more of each."
        )
    return tuple(_width(family, units, layers, outputs, number) for number in range(layers))


def _width(family: Family, units: int, layers: int, outputs: int, number: int) -> int:
    if family == "pyramid":
        return max(1, round(units * (outputs / units) ** (number / layers)))
    if family == "diamond" and layers > 2:
        top = (layers - 1) // 2
        from_the_end = min(number, layers - 1 - number)
        return max(1, round(units * 0.5 ** ((top - from_the_end) / top)))
    return units


def parameters(
    inputs: int, hidden_layers: Sequence[int], outputs: int, *, bias: bool = True
) -> int:
    """Return how many weights and biases a net of dense layers has.

    ``parameters(784, (533,), 10)`` is 784·533 + 533 + 533·10 + 10 = 423,745.
    """
    sizes = [inputs, *hidden_layers, outputs]
    return sum((a + bias) * b for a, b in pairwise(sizes))


def units_for(
    budget: int, family: Family, layers: int, inputs: int, outputs: int, *, bias: bool = True
) -> int:
    """Return the most units with which a family keeps within a budget of parameters.

    So shapes can be compared at equal size: with one unit more, the net is above the budget.

    Args:
        budget: the most weights and biases.
        family: the shape; see ``widths``.
        layers: how many hidden layers.
        inputs: numbers in one example.
        outputs: numbers that the net returns.
        bias: count biases too.

    Raises:
        SpaceError: even one unit is above the budget; the message says what it takes.
    """

    def size(units: int) -> int:
        return parameters(inputs, widths(family, units, layers, outputs), outputs, bias=bias)

    if size(1) > budget:
        raise SpaceError(
            f"budget={budget!r}: a {family} net of {layers} hidden layers from {inputs} inputs to "
            f"{outputs} outputs has {size(1)} parameters with a single unit: raise the budget or "
            "take fewer layers."
        )
    low, high = 1, 2
    while size(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= budget else (low, middle)
    return low


def checked_family(family: str) -> Family:
    """Return *family* if it is one.

    Raises:
        SpaceError: it is not; the message lists them.
    """
    for known in FAMILIES:
        if family == known:
            return known
    raise SpaceError(
        f"family={family!r}: expected one of {', '.join(map(repr, FAMILIES))}."
        f"{nearest(str(family), FAMILIES)}"
    )
