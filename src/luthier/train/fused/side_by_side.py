"""Epochs of several trials: in one program, or each in its own beside the others.

Where trials are stacked, those whose programs are the same run in it by ``vmap``; each has its own weights,
numbers and order of the data. Which trials happen to run together changes a result by rounding only.

On a processor, programs run beside each other, each in a thread: a step of a net leaves part of the cores
idle (optimizers' loops, compiling), which another trial's can use. Only compiling and computing are done
there; models and callbacks are touched by the caller's thread alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple, Protocol, cast

import jax
import jax.numpy as jnp

from luthier.run.devices import threads
from luthier.run.recording import out_of_memory
from luthier.train.fused import programs
from luthier.train.fused.experience import MOST_APART, experience, on_processor
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

    def before(self, turn: Turn, /) -> None:
        """Do what comes before an epoch."""
        ...

    def arguments(self, seed: int, /) -> tuple[Any, ...]:
        """Return what the program is called with: weights, meters, numbers, order, and data if there."""
        ...

    def after(self, done: Epoch, turn: Turn, /) -> None:
        """Take over what an epoch has made."""
        ...


class _Part(NamedTuple):
    """Epochs that run in one program: of one trial, or of several stacked.

    Attributes:
        key: names the program.
        turns: the epochs.
        begun: which turns' trials know already that their epoch begins, by ``id``; those that ran out of
            memory together begin again in smaller parts.
    """

    key: str
    turns: list[Turn]
    begun: set[int]


class _Timed(NamedTuple):
    epoch: Epoch
    seconds: float


def started(turn: Turn) -> Callable[[], Exception | None]:
    """Have an epoch run beside others; return what waits for it and returns what it raised."""
    return _started(_Part("", [turn], set()))


def run(turns: Sequence[Turn]) -> list[Exception | None]:
    """Run an epoch of every trial, those with the same program stacked.

    Returns:
        What each raised by itself.

    Raises:
        Exception: what several that are stacked raised.
    """
    alone: dict[int, Exception] = {}
    parts = _parts(turns)
    while parts:
        at_once = threads() if on_processor() else 1  # an accelerator's memory they would share
        now, parts = parts[:at_once], parts[at_once:]
        for part, over in [(part, _started(part, apart=len(now) > 1)) for part in now]:
            error = over()
            if error is None:
                continue
            if len(part.turns) == 1:
                alone[id(part.turns[0])] = error
            elif out_of_memory(error):
                experience.most[part.key] = len(part.turns) // 2
                parts = [*_split(part.key, part.turns, part.begun), *parts]
            else:
                raise error
    return [alone.get(id(turn)) for turn in turns]


def _parts(turns: Sequence[Turn]) -> list[_Part]:
    groups: dict[str, list[Turn]] = defaultdict(list)
    for number, turn in enumerate(turns):
        groups[getattr(turn.train, "key", None) or f"alone {number}"].append(turn)
    parts: list[_Part] = []
    for key, group in groups.items():
        if len(turns) > len(group) == 1:
            experience.lonely[key] += 1
        parts += _split(key, group, set())
    return parts


def _split(key: str, group: list[Turn], begun: set[int]) -> list[_Part]:
    """Return parts that fit into memory, as far as is known."""
    most = experience.room(key)
    return [_Part(key, group[i : i + most], begun) for i in range(0, len(group), most)]


def _started(part: _Part, *, apart: bool = True) -> Callable[[], Exception | None]:
    """Begin an epoch; return what waits for it, has it taken over, and returns what went wrong.

    Args:
        part: the epoch.
        apart: whether it runs in a thread of its own; else where it is waited for.
    """
    try:
        call = _begun(part)
        if call is None:
            return partial(_as_it_is, None)
        wait = _threads().submit(call).result if apart else call
    except Exception as error:
        return partial(_as_it_is, error)

    def over() -> Exception | None:
        try:
            _over(part, wait())
        except Exception as error:
            return error
        return None

    return over


def _as_it_is(error: Exception | None) -> Exception | None:
    return error


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(MOST_APART, threads()), "luthier-epoch")


def _begun(part: _Part) -> Callable[[], _Timed] | None:
    """Do what comes before an epoch; return what computes it. None: it has no program, and is over."""
    first = part.turns[0]
    if not getattr(first.train, "key", None):
        first.run()
        return None
    members = [cast(Member, turn.train) for turn in part.turns]
    for turn, member in zip(part.turns, members, strict=True):
        if id(turn) not in part.begun:
            part.begun.add(id(turn))
            member.before(turn)
    own = [m.arguments(t.seed) for t, m in zip(part.turns, members, strict=True)]
    key, one = members[0].key, partial(epoch, members[0].steps)
    if len(own) == 1:
        return partial(_timed, programs.program(key, one, own[0]), own[0])
    shared = own[0][4:]  # the data, which are the same
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(a[:4] for a in own))
    wide = jax.vmap(one, in_axes=(0, 0, 0, 0, *(None for _ in shared)))
    arguments = (*stacked, *shared)
    return partial(_timed, programs.program(f"{len(own)} {key}", wide, arguments), arguments)


def _over(part: _Part, done: _Timed) -> None:
    """Note what an epoch took, and have its trials take over what it has made."""
    members = [cast(Member, turn.train) for turn in part.turns]
    experience.note(members[0].key, len(members), done.seconds)
    if len(members) == 1:
        members[0].after(done.epoch, part.turns[0])
        return
    made = jax.device_get(done.epoch)
    for row, (turn, member) in enumerate(zip(part.turns, members, strict=True)):
        of_one = jax.tree.map(lambda leaf, row=row: leaf[row], made)
        member.after(of_one, turn)


def _timed(program: programs.Program, arguments: Sequence[Any]) -> _Timed:
    compiled = program.compiled()
    begin = time.perf_counter()
    done = jax.block_until_ready(compiled(*arguments))
    return _Timed(done, time.perf_counter() - begin)


def run_alone(member: Member, turn: Turn) -> None:
    """Run an epoch of one trial in its program."""
    if member.stream is not None:
        member.before(turn)
        member.after(member.stream(*member.arguments(turn.seed)), turn)
        return
    part = _Part(member.key, [turn], set())
    call = _begun(part)
    assert call is not None
    _over(part, call())
