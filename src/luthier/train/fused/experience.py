"""What epochs have taken in this process, and how many trials to train side by side after that."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from luthier.run.devices import threads
from luthier.run.vital_signs import memory_for_one_more
from luthier.study.protocols import in_any_order
from luthier.train.fused.choice import Fused
from luthier.train.fused.turns import Turn
from luthier.train.fused.widths import next_width

if TYPE_CHECKING:
    from luthier.study.study import Study

_MOST = 512
MOST_APART = 8  # trials whose programs run beside each other on a processor
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


def wanted_width(fused: Fused, study: Study, due: Sequence[Turn]) -> int:
    """Return how many trials should be under way: what the user said, or what pays on this device.

    Only where neither proposals nor verdicts hang on the order in which results come: no proposal is the
    worse for it, and the study is the same with any number of cores. On an accelerator what the last
    program would like; on a processor one a core, each in a program of its own, where memory is there for
    one more. Else 1.

    Args:
        fused: what the user said.
        study: whose trials they are.
        due: epochs of those that are under way.
    """
    if isinstance(fused, int) and not isinstance(fused, bool):
        return fused
    if "jax" not in sys.modules:
        return 1
    if not in_any_order(study.searcher, study.scheduler, study.history):
        return 1
    if not on_processor():
        return experience.width()
    if not all(getattr(turn.train, "key", "") for turn in due):
        return 1
    most = min(threads(), MOST_APART)
    return most if not due or len(due) >= most or memory_for_one_more() else 1


def runs_apart(fused: Fused) -> bool:
    """Return True where each of several trials has a program of its own, beside the others."""
    stacked = isinstance(fused, int) and not isinstance(fused, bool)
    return not stacked and "jax" in sys.modules and on_processor()


def on_processor() -> bool:
    """Return True where JAX computes on the processor, where programs run well beside each other."""
    return sys.modules["jax"].default_backend() == "cpu"
