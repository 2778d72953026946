"""What a report is made of, before anybody decides how it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True)
class Items:
    """A list, a line each."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings; every row has as many cells as there are headings."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """Something to copy."""

    text: str
    language: str = "python"


@dataclass(frozen=True)
class Picture:
    """A picture: what it is called, what it shows in words, and how it is drawn.

    *draw* returns a matplotlib figure; it raises StudyError where there is too little to draw.
    """

    name: str
    words: str
    draw: Callable[[], Any]


Part = Text | Items | Table | Code | Picture


@dataclass(frozen=True)
class Section:
    """Parts under a heading."""

    heading: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Report:
    """Sections under a title."""

    title: str
    sections: tuple[Section, ...]
