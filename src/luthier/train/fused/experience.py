"""What epochs have taken in this process, and how many trials to train side by side after that."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field

from luthier.train.fused.choice import Fused
from luthier.train.fused.widths import next_width

_MOST = 512
_LONELY = 20  # epochs that found no partner before a program is left to run alone


@dataclass
class Experience:
    """What was measured of each program, by its key.

    Attributes:
        seconds: the least seconds per trial and epoch at each width.
        spent: seconds of training in all.
        most: the widest that fitted into memory.
        lonely: epochs that were to run side by side and found no other trial with their program.
        compiling: seconds that the last compilation took.
        last: the program that ran last.
    """

    seconds: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    most: dict[str, int] = field(default_factory=dict)
    lonely: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    compiling: float = 5.0
    last: str = ""

    def note(self, key: str, width: int, seconds: float) -> None:
        """Note that an epoch of *width* trials took so many seconds."""
        each = seconds / width
        known = self.seconds[key]
        known[width] = min(each, known.get(width, each))
        self.spent[key] += seconds
        self.last = key

    def room(self, key: str) -> int:
        """Return how many trials a program may be wide."""
        return self.most.get(key, _MOST)

    def width(self) -> int:
        """Return how wide the program that ran last would like to be."""
        key = self.last
        if not key or self.lonely[key] > _LONELY:
            return 1
        return next_width(self.seconds[key], self.spent[key], self.compiling, self.room(key))


experience = Experience()


def wanted_width(fused: Fused) -> int:
    """Return how many trials to begin: what the user said, or what the last program would like.

    On processors it is 1 unless the user says another number: little is to be gained there (1.3 times at
    best, with nets of some 30 units), and a study whose order of events hangs on how fast the machine
    happened to be would not be the same twice.
    """
    if isinstance(fused, int) and not isinstance(fused, bool):
        return fused
    jax = sys.modules.get("jax")
    return 1 if jax is None or jax.default_backend() == "cpu" else experience.width()
