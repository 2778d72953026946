"""Where a script's metrics come from: what it prints, a file, TensorBoard's event files, a socket.

All of them put ``Reading``s in one queue, which the loop that runs the script takes them from.
"""

from __future__ import annotations

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
    """Metrics as a source gave them; *answer* is how it hears whether to go on, if it can."""

    metrics: Mapping[str, float]
    step: int | None = None
    answer: Callable[[bool, str], None] | None = None


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
    """Return the numbers among *data*, null as NaN, and the step; None when there are no numbers."""
    metrics = {
        str(name): math.nan if value is None else _as_float(value)
        for name, value in data.items()
        if name != "step" and (value is None or _is_number(value))
    }
    step = data.get("step")
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
    """A file of metrics that a script appends to: JSON lines, CSV with a header, or one JSON object."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header: list[str] = []
        self._read = 0

    def new(self, *, ended: bool = False) -> list[Reading]:
        """Return what was written since the last call; *ended*: nothing more will come."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return []
        if len(data) < self._read:  # begun anew
            self._read, self._header = 0, []
        whole = len(data) if ended else data.rfind(b"\n") + 1
        text = data[self._read : whole].decode("utf-8", "replace")
        if not text.strip():
            return []
        if ended and not self._read and self._path.suffix != ".csv":
            try:
                one: Any = json.loads(text)
            except ValueError:
                one = None
            if isinstance(one, dict):
                self._read = whole
                return [r for r in [reading_of(cast("dict[str, Any]", one))] if r]
        lines = text.splitlines()
        found = list(map(self._row, lines)) if self._path.suffix == ".csv" else _parsed(lines)
        if found is None:
            return []
        self._read = whole
        return [reading for reading in found if reading is not None]

    def _row(self, line: str) -> Reading | None:
        cells = next(csv.reader([line]), [])
        if not self._header:
            self._header = [cell.strip() for cell in cells]
            return None
        numbers = {name: _float(cell) for name, cell in zip(self._header, cells, strict=False)}
        return reading_of({k: v for k, v in numbers.items() if v is not None})


def _parsed(lines: list[str]) -> list[Reading | None] | None:
    """Return the readings of JSON lines, None where the lines are parts of one object."""
    found = [reading_from(line) for line in lines]
    return found if any(found) else None


class Curves:
    """TensorBoard's scalars, gathered by step: a step is over when the next one begins."""

    def __init__(self, folder: Path) -> None:
        self._files = EventFiles(folder)
        self._gathered: dict[int, dict[str, float]] = {}

    def new(self, *, ended: bool = False) -> list[Reading]:
        """Return the steps that are over; *ended*: all of them."""
        for scalar in self._files.new():
            self._gathered.setdefault(scalar.step, {})[scalar.tag] = scalar.value
        steps = sorted(self._gathered)
        over = steps if ended else steps[:-1]
        return [Reading(self._gathered.pop(step)) for step in over]


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
