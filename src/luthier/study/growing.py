"""The space of a define-by-run study follows what its code asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from luthier.space import Domain, HyperParameters, Space
from luthier.space.hull import hull
from luthier.study.narrowing import with_in_place

_IN_A_ROW = 5  # trials that ask for the same part of a range before the rest is given up


@dataclass(eq=False)
class Growing:
    """What trials in this process asked for, and the space that follows from it.

    A range grows with the first trial that asks for more. Code that was edited to ask for less would leave
    searchers with a range most of which is never trained; so after a few trials in a row that ask for the same
    part, the space has that part alone, until somebody asks for more. (A range that hangs on another value
    is another one from trial to trial.)
    """

    _told: dict[int, int] = field(default_factory=dict[int, int])  # by trial, what it had asked for
    _lately: dict[str, tuple[Domain, set[int]]] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]

    def space(self, space: Space, trial: int, asked: HyperParameters) -> Space:
        """Return *space* with what *trial* asked for, which counts once: others may have changed it since."""
        if self._told.get(trial) == len(asked.asked_for):
            return space
        grown = _with(space, asked.grown)
        for key in asked.asked_for:
            if key not in asked.narrower:
                self._lately.pop(key, None)
        for key, part in asked.narrower.items():
            known, trials = self._lately.get(key, (part, set[int]()))
            if known != part:
                trials = set[int]()
            trials.add(trial)
            self._lately[key] = (part, trials)
            if len(trials) >= _IN_A_ROW and key in grown:
                grown = with_in_place(grown, key, part.under(grown[key].condition))
        return grown

    def took(self, trial: int, asked: HyperParameters) -> None:
        """Remember that what *trial* asked for is in the log."""
        self._told[trial] = len(asked.asked_for)


def _with(space: Space, grown: Mapping[str, Domain]) -> Space:
    for key, domain in grown.items():
        if key not in space:
            space = space.with_domain(key, domain)
            continue
        known = space[key]
        both = hull(known.free, domain.free)  # somebody else may have grown it meanwhile
        if both is not None and both != known.free:
            space = space.with_domain(key, both.under(known.condition))
    return space
