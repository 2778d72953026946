"""Lengths of time among a command's options."""

from __future__ import annotations

import math
from typing import Any

import click

from luthier.errors import StudyError


class Time(click.ParamType[float]):
    """A length of time, in seconds: ``90s``, ``45m``, ``1h30m``; a plain number counts as *unit* seconds.

    On a command line everything is a text, so that ``60`` cannot be told from a number as Python can.
    """

    name = "time"

    def __init__(self, unit: float = 1.0) -> None:
        self.unit = unit

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return *value* in seconds; a time that cannot be ends the command in words."""
        from luthier.run.opening import seconds_from

        try:
            number = float(value) * self.unit
        except ValueError:
            number = value
        if number == float("inf"):
            self.fail(f"A time must have an end, got {value!r}.", param, ctx)
        try:
            return seconds_from(number)
        except StudyError as error:
            self.fail(str(error), param, ctx)


class TimeOrNone(Time):
    """A length of time, or the word ``none``, which is infinity: as long as it takes."""

    name = "time or none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return *value* in seconds, infinity for ``none``."""
        return math.inf if str(value).lower() == "none" else super().convert(value, param, ctx)


SECONDS, HOURS, SECONDS_OR_NONE = Time(), Time(3600.0), TimeOrNone()
