"""Random search (Bergstra & Bengio 2012): every hyperparameter drawn on its own scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from luthier.errors import SpaceError
from luthier.space import Space
from luthier.study.chance import Chance
from luthier.study.history import History

ATTEMPTS = 10_000


@dataclass(frozen=True)
class RandomSearch:
    """Draws each hyperparameter independently, from its prior where it has one.

    A value depends on the study's seed, the trial's number and the hyperparameter's name only, so
    the draws are the same for a declared space and for the define-by-run code that grows into it.
    """

    proposes_alone: ClassVar[bool] = True

    def propose(
        self, history: History, space: Space, number: int, chance: Chance
    ) -> dict[str, Any]:
        """Return the configuration of trial *number*.

        Raises:
            SpaceError: when the constraints leave (next to) nothing of the space.
        """
        for attempt in range(ATTEMPTS):
            configuration = space.sample(chance.of(attempt).uniforms())
            if space.satisfies(configuration):
                return configuration
        raise unsatisfiable(space)

    def size(self, space: Space) -> int | None:
        """Return None: there is no end to it."""
        return None


def unsatisfiable(space: Space) -> SpaceError:
    """Return the error for constraints that no draw satisfies."""
    return SpaceError(
        f"{ATTEMPTS} draws from the space all broke its constraints "
        f"({'; '.join(map(str, space.constraints))}). Loosen them, or narrow the ranges."
    )
