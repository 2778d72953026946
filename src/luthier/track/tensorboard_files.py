"""TensorBoard's event files: each trial's scalars, and what its HParams page shows; without TensorFlow.

The messages are those of ``tensorboard/plugins/hparams/api.proto`` and ``plugin_data.proto``. A file's bytes
depend on the log alone, and are put where they belong in it: a process that is started again, or another
machine's on a shared folder, writes the same ones, and goes on.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from luthier.space import Bool, Choice, Domain, Float, Int
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.track.following import times
from luthier.track.turns import Turn
from luthier.train.event_files import event, first_event, record, simple_value, tagged, varint

_STRING, _BOOL, _NUMBER = 1, 2, 3  # api.proto's DataType
_SUCCESS, _FAILURE = 1, 2  # its Status
_LARGEST = 3.4028234663852886e38
_EMPTY = b"\x08\x01\x12\x02\x12\x00"  # a tensor of no numbers, which carries the plugin's data
_OURS = "events.out.tfevents.*.luthier"


@dataclass(eq=False)
class _File:
    """A trial's file, and what is written of it."""

    path: Path
    size: int = 0
    step: int = 0
    ended: bool = False


class TensorBoard:
    """Writes a study's event files below *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = Turn(f"tensorboard:{folder.resolve()}")
        self._files: dict[int, _File] = {}  # by trial
        self._space: object = None  # that was announced

    @property
    def name(self) -> str:
        """Return where the files are."""
        return f"tensorboard:{self._folder}"

    def write(self, history: History, trials: Sequence[TrialRecord]) -> None:
        """Write what is new of *trials*.

        Raises:
            AnotherWrites: another process of this machine does it.
            OSError: a file cannot be written.
        """
        if self._turn.begin(history):
            self._files.clear()
            self._space = None
        place = self._folder / _folder_name(history.header.name)
        if self._space != history.space:
            # What is not announced before the first trial does not show.
            _announce(place, history)
            self._space = history.space
        for trial in trials:
            if trial.reported or trial.state.ended:
                self._write_trial(place / f"trial_{trial.number:04d}", trial)

    def close(self) -> None:
        """Let other processes write."""
        self._turn.end()

    def _write_trial(self, place: Path, trial: TrialRecord) -> None:
        path = _file(place, trial.proposed_at + _attempts(trial))
        file = self._files.get(trial.number)
        if file is None or file.path != path or _size(path) < file.size:
            file = self._files[trial.number] = _File(path)
        data = _news(trial, file)
        if not file.size:
            data = _beginning(trial.proposed_at, _session(trial)) + data
            _begin(path, data)
            _empty_earlier(path)
        elif data:
            _put(path, file.size, data)
        # Only now: after a failure the same is written to the same place again.
        file.size += len(data)
        file.step = max(file.step, trial.step)
        file.ended = file.ended or trial.state.ended


def _attempts(trial: TrialRecord) -> int:
    """Return how often the trial was begun again after it failed or lost its worker: each is a new file.

    Its configuration may be another one since, its end is none any more, and epochs after its checkpoint
    are trained again. While it is in the queue the next attempt has not begun.
    """
    again = sum(trial.retries.values())
    return max(0, again - 1) if trial.state is TrialState.QUEUED else again


def _news(trial: TrialRecord, file: _File) -> bytes:
    """Return the records that *file* does not have yet."""
    new: list[bytes] = []
    for step, metrics, at in zip(trial.steps, trial.metrics, times(trial), strict=True):
        if step > file.step:
            values = [simple_value(name, _single(value)) for name, value in metrics.items()]
            new.append(record(event(step, *values, wall_time=at)))
    if trial.state.ended and not file.ended:
        ended = trial.ended_at or trial.last_sign
        new.append(record(event(0, _end(trial, ended), wall_time=ended)))
    return b"".join(new)


def _single(value: float) -> float:
    """Return what single precision can hold."""
    return value if abs(value) <= _LARGEST or value != value else math.copysign(math.inf, value)


# -- files ---------------------------------------------------------------------------------------


def _folder_name(study: str) -> str:
    """Return the name of the study's folder, which is in no case one above."""
    name = quote(study, safe=" ")
    return name if name.strip(".") else name.replace(".", "%2E")


def _file(place: Path, time: float) -> Path:
    return place / f"events.out.tfevents.{int(time):010d}.luthier"


def _announce(place: Path, history: History) -> None:
    """Write what is searched. When a study begins, what another of its name left in the folder goes.

    TensorBoard would merge both.
    """
    path = _file(place, history.header.time)
    begins = not path.exists()
    _begin(path, _beginning(history.header.time, _experiment(history)))
    if begins:
        for other in [*place.glob(_OURS), *place.glob(f"trial_*/{_OURS}")]:
            if other.name < path.name:
                other.unlink(missing_ok=True)


def _beginning(time: float, value: bytes) -> bytes:
    return record(first_event(time)) + record(event(0, value, wall_time=time))


def _begin(path: Path, data: bytes) -> None:
    """Write the beginning of a file; what another process has written already, and more, stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.read_bytes() if path.exists() else b""
    if not there.startswith(data):
        _put(path, 0, data, cut=True)


def _empty_earlier(path: Path) -> None:
    """Empty the files of earlier attempts; a TensorBoard that reads one would not go on if it were gone."""
    for other in path.parent.glob(_OURS):
        if other.name < path.name and other.stat().st_size:
            os.truncate(other, 0)


def _put(path: Path, at: int, data: bytes, *, cut: bool = False) -> None:
    """Write *data* at byte *at*, whatever is there; with *cut* nothing stays behind it."""
    with open(path, "wb", opener=_as_it_is) as file:
        file.seek(at)
        file.write(data)
        if cut:
            file.truncate()


def _as_it_is(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


# -- the HParams page's messages ---------------------------------------------------------------


def _plugin(tag: str, field_number: int, message: bytes) -> bytes:
    """Return a summary's value that holds one of the plugin's messages."""
    content = tagged(field_number, message)
    metadata = tagged(1, tagged(1, b"hparams") + tagged(2, content))
    return tagged(1, f"_hparams_/{tag}".encode()) + tagged(9, metadata) + tagged(8, _EMPTY)


def _experiment(history: History) -> bytes:
    infos = [tagged(4, _info(name, domain)) for name, domain in history.space.domains.items()]
    metrics = [tagged(5, tagged(1, tagged(2, name.encode()))) for name in history.goals.metrics]
    time = b"\x19" + struct.pack("<d", history.header.time)
    named = tagged(6, history.header.name.encode())
    return _plugin("experiment", 2, time + b"".join(infos) + b"".join(metrics) + named)


def _info(name: str, domain: Domain) -> bytes:
    named = tagged(1, name.encode())
    if isinstance(domain, Float | Int):
        low, high = float(domain.low), float(domain.high)
        interval = b"\x09" + struct.pack("<d", low) + b"\x11" + struct.pack("<d", high)
        return named + _kind(_NUMBER) + tagged(6, interval)
    if isinstance(domain, Bool):
        return named + _kind(_BOOL)
    options = domain.options if isinstance(domain, Choice) else (getattr(domain, "value", None),)
    listed = b"".join(tagged(1, _value(option)) for option in options)
    numbers = all(type(option) in (int, float) for option in options)
    return named + _kind(_NUMBER if numbers else _STRING) + tagged(5, listed)


def _kind(number: int) -> bytes:
    return b"\x20" + varint(number)


def _session(trial: TrialRecord) -> bytes:
    hparams = _map(1, trial.configuration)
    group = tagged(4, str(trial.number).encode())
    time = b"\x29" + struct.pack("<d", trial.proposed_at)
    return _plugin("session_start_info", 3, hparams + group + time)


def _end(trial: TrialRecord, time: float) -> bytes:
    bad = trial.state in (TrialState.DIVERGED, TrialState.FAILED)
    status = b"\x08" + varint(_FAILURE if bad else _SUCCESS)
    return _plugin("session_end_info", 4, status + b"\x11" + struct.pack("<d", time))


def _map(number: int, values: Mapping[str, Any]) -> bytes:
    entries = (tagged(1, k.encode()) + tagged(2, _value(v)) for k, v in values.items())
    return b"".join(tagged(number, entry) for entry in entries)


def _value(value: Any) -> bytes:
    """Return a ``google.protobuf.Value``; what it has no kind for, as text."""
    if isinstance(value, bool):
        return b"\x20" + varint(value)
    if isinstance(value, int | float):
        return b"\x11" + struct.pack("<d", float(value))
    return tagged(3, str(value).encode())


__all__ = ["TensorBoard"]
