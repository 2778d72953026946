"""Which hyperparameters act together: the pairwise part of fANOVA."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from luthier.insight.fanova import decompose
from luthier.insight.importances import FEWEST, finite_losses
from luthier.insight.trials import Source, chance_of, enough_for, tried


@dataclass(frozen=True)
class Interaction:
    """How much two hyperparameters matter only together.

    Attributes:
        names: their full names, in the space's order.
        share: of the objective's variance over the space that neither explains alone.
    """

    names: tuple[str, str]
    share: float


def interactions(source: Source, good: float | None = None) -> tuple[Interaction, ...]:
    """Return the share of the variance that each pair explains only together, the largest first.

    Hutter, Hoos & Leyton-Brown 2014, section 4.3, from the same forest as ``importance``.

    Args:
        source: a study or its history.
        good: as for ``importance``.

    Raises:
        StudyError: fewer than 10 trials with a finite value.
    """
    found = tried(source)
    enough_for("Interactions", found, FEWEST)
    decomposed = decompose(found, finite_losses(found, good), chance_of(source, "importance"))
    names = found.columns.names
    pairs = [
        Interaction((names[a], names[b]), min(1.0, decomposed.pair(a, b) / decomposed.total))
        for a, b in combinations(range(len(names)), 2)
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.share))
