"""Depth: deeper nets from a baseline, by repeating its blocks stage by stage.

A stage is a run of blocks of the same width; depth is how many blocks each stage has. The example is the
ladder of residual nets: He et al. 2015, "Deep Residual Learning" (arXiv 1512.03385), Table 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from luthier.errors import SpaceError
from luthier.space import Int
from luthier.space.domains import Domain

Block = TypeVar("Block")
Blocks = tuple[int, ...]


@dataclass(frozen=True)
class Rung:
    """One depth of a ladder.

    Attributes:
        blocks: how many blocks each stage has.
        layers: how many layers with weights lie between input and output.
    """

    blocks: Blocks
    layers: int


BASIC, BOTTLENECK = 2, 3  # convolutions in a block
RESNETS: dict[int, tuple[Blocks, int]] = {
    18: ((2, 2, 2, 2), BASIC),
    34: ((3, 4, 6, 3), BASIC),
    50: ((3, 4, 6, 3), BOTTLENECK),
    101: ((3, 4, 23, 3), BOTTLENECK),
    152: ((3, 8, 36, 3), BOTTLENECK),
    200: ((3, 24, 36, 3), BOTTLENECK),
}
"""Blocks of each stage and layers of a block: He et al. 2015, Table 1; 200: He et al. 2016 (1603.05027)."""


def layers(blocks: Sequence[int], layers_per_block: int = BASIC, outside: int = 2) -> int:
    """Return how many layers with weights a net of repeated blocks has.

    ResNet-50: 3·(3+4+6+3) + 2; the 2 are the first convolution and the classifier. For CIFAR, with three
    stages of n basic blocks each, it is the paper's 6n + 2 (section 4.2). Projections on shortcuts are not
    counted there, and not here.

    Args:
        blocks: how many blocks each stage has.
        layers_per_block: 2 for basic blocks, 3 for bottlenecks.
        outside: layers before the first block and after the last.

    Raises:
        SpaceError: no stage, or one without a block.
    """
    return sum(_checked(blocks)) * layers_per_block + outside


def deepened(blocks: Sequence[int], more: int, where: Sequence[float] | None = None) -> Blocks:
    """Return the stages after *more* blocks have been added.

    Args:
        blocks: how many blocks each stage has now.
        more: how many blocks to add in all.
        where: what share of them each stage gets, in proportion to these numbers; by default in
            proportion to *blocks*, so that the stages' ratio stays. ``(0, 0, 1, 0)`` makes ResNet-101
            out of ResNet-50: the published nets grow where the feature maps are 14 x 14.

    Returns:
        The new numbers of blocks; what does not divide goes to the largest remainders, earlier stages
        first.

    Raises:
        SpaceError: a negative number, another number of shares than of stages, or only zeros.
    """
    now = _checked(blocks)
    shares = tuple(float(share) for share in (where if where is not None else now))
    if more < 0 or len(shares) != len(now) or min(shares) < 0 or sum(shares) <= 0:
        raise SpaceError(
            f"more={more!r}, where={where!r}: expected 0 or more blocks, and a share for each of the "
            f"{len(now)} stages, 0 or more and not all 0."
        )
    exact = [more * share / sum(shares) for share in shares]
    added = [math.floor(part + 1e-9) for part in exact]
    by_remainder = sorted(range(len(now)), key=lambda stage: added[stage] - exact[stage])
    for stage in by_remainder[: more - sum(added)]:
        added[stage] += 1
    return tuple(a + b for a, b in zip(now, added, strict=True))


def repeated(blocks: Sequence[int], times: float) -> Blocks:
    """Return the stages *times* as deep in all, in the ratio that they had.

    Args:
        blocks: how many blocks each stage has.
        times: 1 or more; 1.5 turns (2, 2, 2, 2) into (3, 3, 3, 3).

    Raises:
        SpaceError: less than 1 times, no stage, or one without a block.
    """
    if not 1 <= times < math.inf:
        raise SpaceError(f"times={times!r}: expected 1 or more.")
    total = sum(_checked(blocks))
    return deepened(blocks, round(total * times) - total)


def ladder(
    blocks: Sequence[int],
    times: Sequence[float] = (1, 1.5, 2, 3, 4),
    *,
    layers_per_block: int = BASIC,
    outside: int = 2,
) -> list[Rung]:
    """Return deeper and deeper nets made by repeating the baseline's blocks, in the same ratio.

    The published ladder (``RESNETS``) is one of several: it repeats some stages more than others; make
    such steps with ``deepened(..., where=...)``.

    Args:
        blocks: the baseline's blocks of each stage.
        times: how much deeper than the baseline each rung is.
        layers_per_block: layers with weights in a block.
        outside: layers before the first block and after the last.

    Raises:
        SpaceError: less than 1 times, no stage, or one without a block.
    """
    deeper = [repeated(blocks, factor) for factor in sorted(times)]
    return [Rung(stages, layers(stages, layers_per_block, outside)) for stages in deeper]


def repeat(make: Sequence[Callable[[int], Block]], blocks: Sequence[int]) -> list[Block]:
    """Return a net's blocks in order, each made anew, for ``nn.Sequential(*repeat(...))`` and the like.

    ::

        stages = [lambda i: Block(64), lambda i: Block(128, stride=2 if i == 0 else 1)]
        nn.Sequential(stem, *repeat(stages, repeated((2, 2), 3)), head)

    Args:
        make: for each stage a function that makes its block; it is told the block's place in the stage,
            since the first one often changes width or resolution.
        blocks: how many blocks each stage has.

    Raises:
        SpaceError: other numbers of stages, or a stage without a block.
    """
    counts = _checked(blocks)
    if len(make) != len(counts):
        raise SpaceError(
            f"There are {len(make)} functions that make blocks, and {len(counts)} stages in "
            f"{counts}: expected one for each."
        )
    return [one(place) for one, count in zip(make, counts, strict=True) for place in range(count)]


def domains(most: int = 4) -> dict[str, Domain]:
    """Return ``repeats`` as a domain: how many times as deep as the baseline, 1 to *most*.

    Use it as ``repeated(baseline, trial["repeats"])``.

    Raises:
        SpaceError: *most* is below 2, which leaves nothing to search.
    """
    if most < 2:
        raise SpaceError(f"most={most!r}: expected 2 or more.")
    return {"repeats": Int(1, most, default=1)}


def _checked(blocks: Sequence[int]) -> Blocks:
    if not blocks or min(blocks) < 1:
        raise SpaceError(
            f"blocks={tuple(blocks)!r}: expected the number of blocks of each stage, 1 or more."
        )
    return tuple(int(count) for count in blocks)
