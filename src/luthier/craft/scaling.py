"""Compound scaling: a baseline k times as costly, deeper, wider and at a finer resolution at once.

Source: Tan & Le 2019, "EfficientNet" (arXiv 1905.11946), section 3.3, equation 3. Depth is α^φ, width
β^φ, resolution γ^φ; a convolutional net's operations grow as depth · width² · resolution², so with
α β² γ² ≈ 2 they grow as 2^φ. The baseline's α, β, γ are found once by a small search; 1.2, 1.1 and 1.15
are EfficientNet-B0's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from luthier.errors import SpaceError


@dataclass(frozen=True)
class Bases:
    """What depth, width and resolution are multiplied by when φ rises by one.

    Attributes:
        depth: α, 1 or more.
        width: β, 1 or more.
        resolution: γ, 1 or more; 1 for nets without a resolution, such as dense ones.
    """

    depth: float = 1.2
    width: float = 1.1
    resolution: float = 1.15

    def __post_init__(self) -> None:
        if min(self.depth, self.width, self.resolution) < 1 or not self.cost > 1:
            raise SpaceError(
                f"{self}: expected α, β, γ of 1 or more (Tan & Le 2019, equation 3), one of them above."
            )

    @property
    def cost(self) -> float:
        """Return α β² γ²: how much the cost grows when φ rises by one. The paper asks for about 2."""
        return self.depth * self.width**2 * self.resolution**2


EFFICIENTNET = Bases()
DENSE = Bases(depth=1.2, width=math.sqrt(2 / 1.2), resolution=1.0)
"""The same depth for nets of dense layers; width takes the rest of the cost, so that α β² = 2."""


@dataclass(frozen=True)
class Scales:
    """By what to multiply a baseline.

    Attributes:
        depth: times the blocks of each stage.
        width: times the units or channels of each layer.
        resolution: times the height and width of the images.
        cost: times the operations of a step, before rounding.
    """

    depth: float
    width: float
    resolution: float
    cost: float


def compound(phi: float, bases: Bases = EFFICIENTNET) -> Scales:
    """Return the scales at a compound coefficient φ (equation 3); φ = 0 is the baseline.

    Raises:
        SpaceError: a negative φ.
    """
    if not 0 <= phi < math.inf:
        raise SpaceError(f"phi={phi!r}: expected 0 (the baseline) or more.")
    depth, width, resolution = bases.depth**phi, bases.width**phi, bases.resolution**phi
    return Scales(depth, width, resolution, depth * width**2 * resolution**2)


def times(k: float, bases: Bases = EFFICIENTNET) -> Scales:
    """Return the scales that make the baseline *k* times as costly: φ = log k / log(α β² γ²).

    Raises:
        SpaceError: *k* below 1.
    """
    if not 1 <= k < math.inf:
        raise SpaceError(f"k={k!r}: expected 1 (the baseline) or more.")
    return compound(math.log(k) / math.log(bases.cost), bases)


@dataclass(frozen=True)
class Stage:
    """A run of equal blocks.

    Attributes:
        blocks: how many.
        width: their units or channels.
    """

    blocks: int
    width: int


def scaled(
    stages: Sequence[Stage],
    resolution: int,
    scales: Scales,
    *,
    multiple: int = 8,
) -> tuple[list[Stage], int]:
    """Return the stages and the resolution of a scaled net, in whole numbers.

    Blocks are rounded up. Widths are rounded to the nearest multiple of 8, which accelerators like, but
    not below 90 % of what was asked for; so is the resolution, which stays as it is where the scale is 1.

    Args:
        stages: the baseline's.
        resolution: height and width of the baseline's images; 1 for dense nets.
        scales: from ``times`` or ``compound``.
        multiple: what widths and the resolution are multiples of; 1 rounds to whole numbers.

    Raises:
        SpaceError: no stage, or a number below 1.
    """
    _check(stages, resolution, multiple)
    new = [
        Stage(
            math.ceil(stage.blocks * scales.depth - 1e-9),
            _rounded(stage.width, scales.width, multiple),
        )
        for stage in stages
    ]
    return new, _rounded(resolution, scales.resolution, multiple)


def cost(stages: Sequence[Stage], resolution: int = 1) -> float:
    """Return what a step costs, in units that only comparisons of nets of one kind make sense of.

    The sum of blocks · width² · resolution² (section 3.2). It takes all stages as if they had the same
    resolution, and leaves the first and last layers out, so compare a baseline with its scaled self:
    ``cost(*scaled(...)) / cost(baseline, resolution)`` says what rounding has done.

    Raises:
        SpaceError: no stage, or a number below 1.
    """
    _check(stages, resolution, 1)
    return float(sum(stage.blocks * stage.width**2 for stage in stages) * resolution**2)


def _rounded(value: int, scale: float, multiple: int) -> int:
    if scale == 1:
        return value
    asked = value * scale
    nearest = max(multiple, int(asked / multiple + 0.5) * multiple)
    return nearest if nearest >= 0.9 * asked else nearest + multiple


def _check(stages: Sequence[Stage], resolution: int, multiple: int) -> None:
    numbers = [n for stage in stages for n in (stage.blocks, stage.width)]
    if not numbers or min(*numbers, resolution, multiple) < 1:
        raise SpaceError(
            f"stages={list(stages)!r}, resolution={resolution!r}, multiple={multiple!r}: expected one "
            "stage or more, and numbers of 1 or more."
        )
