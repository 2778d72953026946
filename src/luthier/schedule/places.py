"""Where trials lie in the unit cube, for schedulers that look at configurations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from luthier.errors import SpaceError
from luthier.space import Space
from luthier.study.records import TrialRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(eq=False)
class Places:
    """The trials' places in the unit cube of the space as it stands."""

    space: Space | None = None
    of: dict[int, Array] = field(default_factory=dict[int, "Array"])

    def take(self, trial: TrialRecord) -> None:
        """Forget where a trial lies: a new one has no place yet, and a configuration may settle."""
        self.of.pop(trial.number, None)

    def at(self, trials: list[TrialRecord], space: Space) -> Array:
        """Return places (n, d); the middle for what is inactive or was added since."""
        import numpy as np

        if space is not self.space:
            self.space = space
            self.of.clear()
        for trial in trials:
            if trial.number not in self.of:
                self.of[trial.number] = np.nan_to_num(_place(space, trial), nan=0.5)
        return np.array([self.of[trial.number] for trial in trials])


def _place(space: Space, trial: TrialRecord) -> Array:
    try:
        return space.encode(trial.configuration)
    except SpaceError:  # the space was narrowed since
        return space.encode({})
