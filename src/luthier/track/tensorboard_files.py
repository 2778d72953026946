"""TensorBoard's event files: each trial's scalars, and what its HParams page shows; without TensorFlow.

The messages are those of ``tensorboard/plugins/hparams/api.proto`` and ``plugin_data.proto``. A file's bytes
depend on the log alone, so a process that is started again writes the same ones, and goes on.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from luthier.space import Bool, Choice, Domain, Float, Int
from luthier.study.history import History
from luthier.study.records import TrialRecord, TrialState
from luthier.track.following import times
from luthier.train.event_files import event, first_event, record, simple_value, tagged, varint

_STRING, _BOOL, _NUMBER = 1, 2, 3  # api.proto's DataType
_SUCCESS, _FAILURE = 1, 2  # its Status
_LARGEST = 3.4028234663852886e38
_EMPTY = b"\x08\x01\x12\x02\x12\x00"  # a tensor of no numbers, which carries the plugin's data


@dataclass(eq=False)
class TensorBoard:
    """Writes a study's event files below *folder*."""

    folder: Path
    _written: dict[int, int] = field(default_factory=dict[int, int])  # trial -> last step
    _ended: set[int] = field(default_factory=set[int])
    _space: object = None

    @property
    def name(self) -> str:
        """Return where the files are."""
        return f"tensorboard:{self.folder}"

    def write(self, history: History, trials: Sequence[TrialRecord]) -> None:
        """Write what is new of *trials*.

        Raises:
            OSError: a file cannot be written.
        """
        place = self.folder / quote(history.header.name, safe=" ")
        if self._space != history.space:
            # What is not announced before the first trial does not show.
            _start(place, history.header.time, _experiment(history))
            self._space = history.space
        for trial in trials:
            if trial.steps or trial.state.ended:
                self._write_trial(place / f"trial_{trial.number:04d}", trial)

    def _write_trial(self, place: Path, trial: TrialRecord) -> None:
        if trial.number not in self._written:
            begun = _session(trial)
            _start(place, trial.proposed_at, begun)
            self._written[trial.number] = 0
        since, new = self._written[trial.number], list[bytes]()
        for step, metrics, at in zip(trial.steps, trial.metrics, times(trial), strict=True):
            if step > since:
                values = [simple_value(name, _single(value)) for name, value in metrics.items()]
                new.append(record(event(step, *values, wall_time=at)))
        if trial.state.ended and trial.number not in self._ended:
            ended = trial.ended_at or trial.last_sign
            new.append(record(event(0, _end(trial, ended), wall_time=ended)))
            self._ended.add(trial.number)
        if new:
            with _file(place, trial.proposed_at).open("ab") as file:
                file.write(b"".join(new))
        self._written[trial.number] = max(since, trial.step)


def _single(value: float) -> float:
    """Return what single precision can hold."""
    return value if abs(value) <= _LARGEST or value != value else math.copysign(math.inf, value)


def _file(place: Path, time: float) -> Path:
    return place / f"events.out.tfevents.{int(time):010d}.luthier"


def _start(place: Path, time: float, value: bytes) -> None:
    """Begin a file, in place of what an earlier process has written."""
    place.mkdir(parents=True, exist_ok=True)
    begin = record(first_event(time)) + record(event(0, value, wall_time=time))
    _file(place, time).write_bytes(begin)


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
