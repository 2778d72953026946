"""A random forest on numpy, grown a level of all trees at a time.

Breiman 2001: each tree sees the trials drawn with replacement, each node looks at some of the features,
and splits where the squared error falls most (Breiman, Friedman, Olshen & Stone 1984). Features are
binned, so a leaf is a set of bins for each hyperparameter; a choice is split into two sets of options,
in the order of their means (Fisher 1958), which finds the best of all splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Indices = NDArray[np.intp]

TREES = 32
_LEAST_IN_LEAF = 3.0
_FEATURES = 5 / 6  # of a node's features are looked at, as in Hutter, Hoos & Leyton-Brown 2014
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Forest:
    """The leaves of all trees, those of one tree beside one another.

    Attributes:
        boxes: (l, d, bins) which bins each leaf holds.
        values: (l,) the mean of the trials in it.
        starts: (t,) the first leaf of each tree.
        probed: (p,) the mean of all trees at the probes.
    """

    boxes: Flags
    values: Array
    starts: Indices
    probed: Array


@dataclass
class _Nodes:
    """The open nodes of one level, and the trials and probes in them."""

    boxes: Flags  # (k, d, bins)
    tree: Indices  # (k,)
    rows: Indices  # (m,) the trial of each entry
    node: Indices  # (m,) the node that it is in
    weight: Array  # (m,) how often the tree drew it
    probes: Indices  # (q,) the probe of each entry
    probed: Indices  # (q,) the node that it is in


def grow(
    binned: Indices,
    losses: Array,
    count: int,
    unordered: Flags,
    generator: np.random.Generator,
    probes: Indices,
    trees: int = TREES,
) -> Forest:
    """Return a forest.

    Args:
        binned: (n, d) the bin of each trial in each hyperparameter, below *count*.
        losses: (n,) finite.
        count: bins.
        unordered: (d,) which hyperparameters have no order.
        generator: for the draws with replacement, the features looked at, and cuts between bins.
        probes: (p, d) bins of places at which the forest's mean is wanted.
        trees: how many.
    """
    import numpy as np

    number, wide = binned.shape
    drawn = generator.multinomial(number, np.full(number, 1 / number), size=trees)
    tree, rows = np.nonzero(drawn)
    nodes = _Nodes(
        np.ones((trees, wide, count), dtype=bool),
        np.arange(trees),
        rows,
        tree,
        drawn[tree, rows].astype(np.float64),
        np.tile(np.arange(len(probes)), trees),
        np.repeat(np.arange(trees), len(probes)),
    )
    predicted = np.zeros(len(probes))
    boxes: list[Flags] = []
    values: list[Array] = []
    owners: list[Indices] = []
    while len(nodes.boxes):
        weights = np.bincount(nodes.node, nodes.weight, len(nodes.boxes))
        sums = np.bincount(nodes.node, nodes.weight * losses[nodes.rows], len(nodes.boxes))
        split, feature, left = _best_splits(nodes, binned, losses, unordered, generator)
        boxes.append(nodes.boxes[~split])
        values.append(sums[~split] / weights[~split])
        owners.append(nodes.tree[~split])
        over = ~split[nodes.probed]
        arrived = nodes.probed[over]
        predicted += np.bincount(nodes.probes[over], sums[arrived] / weights[arrived], len(probes))
        nodes = _children(nodes, split, feature, left, binned, probes)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(trees))
    values_ = np.concatenate(values)[order]
    return Forest(np.concatenate(boxes)[order], values_, starts, predicted / trees)


def _best_splits(
    nodes: _Nodes,
    binned: Indices,
    losses: Array,
    unordered: Flags,
    generator: np.random.Generator,
) -> tuple[Flags, Indices, Flags]:
    """Return which nodes split (k,), in which feature (k,), and the bins that go left (k, bins)."""
    import numpy as np

    k, wide, count = nodes.boxes.shape
    at = (nodes.node[:, None] * wide + np.arange(wide)) * count + binned[nodes.rows]
    shape = (k, wide, count)
    weight = np.repeat(nodes.weight, wide)
    loss = np.repeat(nodes.weight * losses[nodes.rows], wide)
    weights = np.bincount(at.ravel(), weight, k * wide * count).reshape(shape)
    sums = np.bincount(at.ravel(), loss, k * wide * count).reshape(shape)
    all_weight, all_sum = weights[:, :1].sum(axis=2), sums[:, :1].sum(axis=2)
    order = None
    if unordered.any():
        means = np.where(
            weights > 0, sums / np.maximum(weights, 1), (all_sum / all_weight)[..., None]
        )
        means[:, ~unordered] = np.arange(count)
        order = np.argsort(means, axis=2, kind="stable")
        weights, sums = np.take_along_axis(weights, order, 2), np.take_along_axis(sums, order, 2)
    below, lower = np.cumsum(weights, axis=2), np.cumsum(sums, axis=2)
    above, upper = all_weight[..., None] - below, all_sum[..., None] - lower
    gain = lower**2 / np.maximum(below, 1) + upper**2 / np.maximum(above, 1)
    looked = generator.random((k, wide)) < _FEATURES
    looked |= ~looked.any(axis=1, keepdims=True)
    allowed = (below >= _LEAST_IN_LEAF) & (above >= _LEAST_IN_LEAF) & looked[..., None]
    gain = np.where(allowed, gain, -np.inf).reshape(k, wide * count)
    best = np.argmax(gain, axis=1)
    feature, first = np.divmod(best, count)
    each = np.arange(k)
    base = (all_sum**2 / all_weight)[:, 0]
    split = gain[each, best] > base + _ROUNDING * (1 + np.abs(base))
    # Between two bins with trials there may be empty ones: the cut is anywhere between them.
    flat = below[each, feature]
    room = (flat == flat[each, first][:, None]).sum(axis=1)
    cut = first + (generator.random(k) * room).astype(np.intp)
    left = np.arange(count)[None, :] <= cut[:, None]
    if order is not None:
        placed = np.empty_like(left)
        np.put_along_axis(placed, order[each, feature], left, axis=1)
        left = placed
    return split, feature, left


def _children(
    nodes: _Nodes,
    split: Flags,
    feature: Indices,
    left: Flags,
    binned: Indices,
    probes: Indices,
) -> _Nodes:
    """Return the next level: of every node that splits the left child, then the right one."""
    import numpy as np

    kept = np.flatnonzero(split)
    new = np.full(len(split), -1)
    new[kept] = np.arange(len(kept))
    boxes = np.repeat(nodes.boxes[kept], 2, axis=0)
    feature, left = feature[kept], left[kept]
    each = np.arange(len(kept))
    boxes[2 * each, feature] &= left
    boxes[2 * each + 1, feature] &= ~left

    def moved(entries: Indices, node: Indices, bins: Indices) -> tuple[Indices, Indices, Flags]:
        inside = split[node]
        entries, node = entries[inside], new[node[inside]]
        goes_left = left[node, bins[entries, feature[node]]]
        return entries, 2 * node + np.where(goes_left, 0, 1), inside

    rows, node, inside = moved(nodes.rows, nodes.node, binned)
    return _Nodes(
        boxes,
        np.repeat(nodes.tree[kept], 2),
        rows,
        node,
        nodes.weight[inside],
        *moved(nodes.probes, nodes.probed, probes)[:2],
    )
