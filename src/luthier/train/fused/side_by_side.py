"""Epochs of several trials in one program, and the choice of how many.

Trials whose programs are the same are stacked and run by ``vmap``; each has its own weights, numbers and
order of the data. Which trials happen to run together changes a result by rounding only.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from luthier.run.recording import out_of_memory
from luthier.train.fused.choice import Fused
from luthier.train.fused.turns import Turn
from luthier.train.fused.widths import next_width

_MOST = 512


@dataclass
class _Experience:
    """What epochs have taken in this process.

    Attributes:
        seconds: for each program (by its key), the least seconds per trial and epoch at each width.
        spent: seconds of training in all, by program.
        most: the widest that fitted into memory, by program.
        last: the program that ran last.
    """

    seconds: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    most: dict[str, int] = field(default_factory=dict)
    last: str = ""

    def note(self, key: str, width: int, seconds: float) -> None:
        each = seconds / width
        known = self.seconds[key]
        known[width] = min(each, known.get(width, each))
        self.spent[key] += seconds
        self.last = key

    def width(self, key: str) -> int:
        from luthier.train.fused.programs import compiled_seconds

        compiling = compiled_seconds[-1] if compiled_seconds else 5.0
        most = self.most.get(key, _MOST)
        return next_width(self.seconds[key], self.spent[key], compiling, most)


experience = _Experience()


def wanted_width(fused: Fused) -> int:
    """Return how many trials to begin: what the user said, or what the last program would like."""
    if isinstance(fused, int) and not isinstance(fused, bool):
        return fused
    return experience.width(experience.last) if experience.last else 1


def run(turns: Sequence[Turn]) -> None:
    """Run an epoch of every trial, those with the same program side by side.

    Raises:
        Exception: out of memory with a single trial, or what a callback raises.
    """
    groups: dict[str, list[Turn]] = defaultdict(list)
    for number, turn in enumerate(turns):
        key = getattr(turn.train, "key", None)
        groups[key or f"alone {number}"].append(turn)
    for key, group in groups.items():
        _run_group(key, group)


def _run_group(key: str, group: list[Turn]) -> None:
    if len(group) == 1:
        group[0].run()
        return
    most = experience.most.get(key, _MOST)
    while group:
        part, group = group[:most], group[most:]
        try:
            _run_side_by_side(key, part)
        except Exception as error:
            if len(part) == 1 or not out_of_memory(error):
                raise
            most = experience.most[key] = len(part) // 2
            group = [*part, *group]


def _run_side_by_side(key: str, group: list[Turn]) -> None:
    import jax
    import jax.numpy as jnp

    from luthier.train.fused import programs
    from luthier.train.fused.program import epoch

    if len(group) == 1:
        group[0].run()
        return
    members: list[Any] = [turn.train for turn in group]
    for turn, member in zip(group, members, strict=True):
        member.before(turn.epoch, turn.listeners)
    own = [m.arguments(t.seed) for t, m in zip(group, members, strict=True)]
    shared = own[0][4:]  # the data, which are the same
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(a[:4] for a in own))
    first = members[0]
    wide = jax.vmap(partial(epoch, first.steps), in_axes=(0, 0, 0, 0, None, None))
    program = programs.program(f"{len(group)} {key}", wide, (*stacked, *shared), donated=(0,))
    begin = time.perf_counter()
    done = jax.device_get(program(*stacked, *shared))
    experience.note(key, len(group), time.perf_counter() - begin)
    for row, (turn, member) in enumerate(zip(group, members, strict=True)):
        member.after(
            jax.tree.map(lambda leaf, row=row: leaf[row], done), turn.epoch, turn.listeners
        )
