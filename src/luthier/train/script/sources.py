"""Where a script's metrics come from: what it prints, a file, TensorBoard's event files, a socket.

All of them put ``Reading``s in one queue, which the loop that runs the script takes them from.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard, cast

from luthier.errors import StudyError
from luthier.train.event_files import EventFiles

MARK = "::luthier "
"""What a line may begin with that is meant for Luthier and nobody else."""


@dataclass(frozen=True)
class Reading:
    """Metrics as a source gave them.

    Attributes:
        metrics: by name.
        step: the epoch as the script counts it; None where it does not say.
        answer: how it hears whether to go on, if it can.
        late: whether the script is known to train the next epoch already.
    """

    metrics: Mapping[str, float]
    step: int | None = None
    answer: Callable[[bool, str], None] | None = None
    late: bool = False


def reading_from(line: str) -> Reading | None:
    """Return the metrics in a line of JSON, None for any other line.

    Raises:
        StudyError: the line begins with ``::luthier`` and holds no JSON object of numbers.
    """
    text = line.strip()
    marked = text.startswith(MARK)
    text = text.removeprefix(MARK).strip()
    if not text.startswith("{") and not marked:
        return None
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        if marked:
            raise StudyError(
                f"The script printed {line.strip()!r}: expected a JSON object after {MARK!r}, such as "
                f'{MARK}{{"step": 3, "val_loss": 0.41}}.'
            )
        return None
    return reading_of(cast("dict[str, Any]", data))


def reading_of(data: Mapping[str, Any]) -> Reading | None:
    """Return the numbers among *data*, null as NaN, and the step; None when there are no numbers.

    Where there are both an ``epoch`` and a ``step``, the latter counts batches, as in Lightning's logs.
    """
    count = "epoch" if "step" in data and _is_number(data.get("epoch")) else "step"
    metrics = {
        str(name): math.nan if value is None else _as_float(value)
        for name, value in data.items()
        if name not in ("step", count) and (value is None or _is_number(value))
    }
    step = data.get(count)
    if not _is_number(step) or not _as_float(step).is_integer():  # infinity and NaN are none
        step = None
    return Reading(metrics, None if step is None else int(step)) if metrics else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


@dataclass(frozen=True)
class Patterns:
    """Regular expressions for metrics in what a script prints; the first group is the number."""

    of: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            StudyError: one that cannot be read, or that has no group.
        """
        for name, text in self.of.items():
            try:
                groups = re.compile(text).groups
            except re.error as error:
                raise StudyError(
                    f"{name}={text!r} is no regular expression: {error}. Such as "
                    rf"--metric '{name}={name}: (\S+)'."
                ) from None
            if groups < 1:
                raise StudyError(
                    f"{name}={text!r} has no group for the number: put it in parentheses, such as "
                    rf"--metric '{name}={name}: (\S+)'."
                )

    def found_in(self, line: str) -> Reading | None:
        """Return what matches in *line*, the last one where there are several."""
        metrics: dict[str, float] = {}
        for name, text in self.of.items():
            for match in re.finditer(text, line):
                found = match[1] or ""  # the group may have no part in what matches
                try:
                    metrics[name] = float(found.rstrip(",;"))
                except ValueError:
                    continue
        return Reading(metrics) if metrics else None


class Growing:
    """A file of metrics that a script appends to: JSON lines, CSV with a header, or one JSON object.

    One that is written anew is told by what it begins with, whatever its length: from then on all of it is new.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header: list[str] = []
        self._read = b""
        self._copies = False
        # Which file an earlier run left, till this one's is read.
        self._left: tuple[int, int] | None = None

    def pass_over(self, *, goes_on: bool = False) -> None:
        """Read what an earlier run left there, which is none of this one's.

        Args:
            goes_on: whether this run goes on from a checkpoint, and may copy the curve so far.
        """
        self.new(ended=True)
        self._left, self._copies = self._stamp(), goes_on

    def new(self, *, ended: bool = False) -> list[Reading]:
        """Return what was written since the last call; *ended*: nothing more will come."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return []
        anew = not data.startswith(self._read)
        if self._read.startswith(data):
            # As before, or a part of it, which is just being written anew. Whoever copies the curve so far and
            # goes on has said nothing new by that; one that began anew, or has ended by now, says the same as
            # the last run.
            if self._left in (None, self._stamp()) or (self._copies and not ended):
                return []
            anew = True
        if anew:
            self._read, self._header = b"", []
        begin = len(self._read)
        whole = len(data) if ended else data.rfind(b"\n") + 1
        text = data[begin:whole].decode("utf-8", "replace")
        if not text.strip():
            return []
        found = self._parsed(text, at_once=ended and not begin)
        if found is None:
            return []
        self._read, self._left = data[:whole], None
        return [reading for reading in found if reading is not None]

    def _parsed(self, text: str, *, at_once: bool) -> list[Reading | None] | None:
        """Return the readings in whole lines; None where they are parts of one object, not yet whole."""
        if self._path.suffix == ".csv":
            return list(map(self._row, text.splitlines()))
        if at_once:
            with contextlib.suppress(ValueError):
                one: Any = json.loads(text)
                if isinstance(one, dict):
                    return [reading_of(cast("dict[str, Any]", one))]
        found = [reading_from(line) for line in text.splitlines()]
        return found if any(found) else None

    def _stamp(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self._path.stat()
            return status.st_ino, status.st_mtime_ns
        return None

    def _row(self, line: str) -> Reading | None:
        cells = next(csv.reader([line]), [])
        if not self._header:
            self._header = [cell.strip() for cell in cells]
            return None
        numbers = {name: _float(cell) for name, cell in zip(self._header, cells, strict=False)}
        return reading_of({k: v for k, v in numbers.items() if v is not None})


class Curves:
    """TensorBoard's scalars, gathered by step: a step is over when the next one begins."""

    def __init__(self, folder: Path) -> None:
        self._files = EventFiles(folder)
        self._gathered: dict[int, dict[str, float]] = {}

    def pass_over(self, *, goes_on: bool = False) -> None:
        """Read what an earlier run left there, which is none of this one's, whether it *goes_on* or not."""
        self.new(ended=True)

    def new(self, *, ended: bool = False) -> list[Reading]:
        """Return the steps that are over; *ended*: all of them."""
        for scalar in self._files.new():
            self._gathered.setdefault(scalar.step, {})[scalar.tag] = scalar.value
        steps = sorted(self._gathered)
        over = steps if ended else steps[:-1]
        return [Reading(self._gathered.pop(step), late=not ended) for step in over]


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
