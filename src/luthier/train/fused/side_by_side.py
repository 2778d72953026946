"""Epochs of several trials in one program, and the choice of how many.

Trials whose programs are the same are stacked and run by ``vmap``; each has its own weights, numbers and
order of the data. Which trials happen to run together changes a result by rounding only.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp

from luthier.run.recording import out_of_memory
from luthier.train.fused import programs
from luthier.train.fused.experience import experience
from luthier.train.fused.program import Epoch, Steps, epoch
from luthier.train.fused.streamed import Stream
from luthier.train.fused.turns import Turn


class Member(Protocol):
    """A trial's training, an epoch at a time.

    Attributes:
        key: names the program that it needs; empty when the data are streamed.
        steps: traced, with the trial's numbers.
        stream: runs epochs over data that stay on the host; None when they are on the device.
    """

    key: str
    steps: Steps
    stream: Stream | None

    def before(self, epoch: int, listeners: Any, /) -> None:
        """Do what comes before an epoch."""
        ...

    def arguments(self, seed: int, /) -> tuple[Any, ...]:
        """Return what the program is called with: weights, meters, numbers, order, and data if there."""
        ...

    def after(self, done: Epoch, epoch: int, listeners: Any, /) -> None:
        """Take over what an epoch has made."""
        ...


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
        if len(turns) > len(group) == 1:
            experience.lonely[key] += 1
        _run_group(key, group)


def _run_group(key: str, group: list[Turn]) -> None:
    most = experience.room(key)
    while group:
        part, group = group[:most], group[most:]
        if len(part) == 1:
            part[0].run()
            continue
        try:
            _run_side_by_side(key, part)
        except Exception as error:
            if not out_of_memory(error):
                raise
            most = experience.most[key] = len(part) // 2
            group = [*part, *group]


def _run_side_by_side(key: str, group: list[Turn]) -> None:
    members = [cast(Member, turn.train) for turn in group]
    for turn, member in zip(group, members, strict=True):
        member.before(turn.epoch, turn.listeners)
    own = [m.arguments(t.seed) for t, m in zip(group, members, strict=True)]
    shared = own[0][4:]  # the data, which are the same
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(a[:4] for a in own))
    axes = (0, 0, 0, 0, *(None for _ in shared))
    wide = jax.vmap(partial(epoch, members[0].steps), in_axes=axes)
    done = _timed(f"{len(group)} {key}", wide, (*stacked, *shared), key, len(group))
    done = jax.device_get(done)
    for row, (turn, member) in enumerate(zip(group, members, strict=True)):
        of_one = jax.tree.map(lambda leaf, row=row: leaf[row], done)
        member.after(of_one, turn.epoch, turn.listeners)


def run_alone(member: Member, turn: int, seed: int, listeners: Any) -> None:
    """Run epoch number *turn* of one trial in its program."""
    member.before(turn, listeners)
    arguments = member.arguments(seed)
    if member.stream is not None:
        done = member.stream(*arguments)
    else:
        done = _timed(member.key, partial(epoch, member.steps), arguments, member.key, 1)
    member.after(done, turn, listeners)


def _timed(name: str, function: Any, arguments: Any, key: str, width: int) -> Epoch:
    program = programs.program(name, function, arguments)
    begin = time.perf_counter()
    done = jax.block_until_ready(program(*arguments))
    experience.note(key, width, time.perf_counter() - begin)
    return done
