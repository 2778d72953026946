"""The report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from luthier.app.report.parts import Code, Items, Part, Picture, Report, Table, Text

_SPECIAL = re.compile(r"([\\`*\[\]<|~]|(?<!\w)_|_(?!\w)|^[#>])")


def document(report: Report, pictures: Mapping[str, str]) -> str:
    """Return the document; *pictures* are the addresses of those that were drawn, by name."""
    lines = [f"# {_plain(report.title)}"]
    for section in report.sections:
        lines += ["", f"## {_plain(section.heading)}"]
        for part in section.parts:
            if written := _part(part, pictures):
                lines += ["", written]
    return "\n".join(lines) + "\n"


def _part(part: Part, pictures: Mapping[str, str]) -> str:
    match part:
        case Text(words):
            return _plain(words)
        case Items(lines):
            return "\n".join(f"- {_plain(line)}" for line in lines)
        case Code(text, language):
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
            return f"{fence}{language}\n{text.rstrip()}\n{fence}"
        case Table(headings, rows):
            rule = "|".join("---" for _ in headings)
            written = [f"| {' | '.join(map(_plain, row))} |" for row in (headings, *rows)]
            return "\n".join([written[0], f"|{rule}|", *written[1:]])
        case Picture(name, words):
            return f"![{_plain(words)}]({pictures[name]})" if name in pictures else ""


def _plain(text: str) -> str:
    """Return *text* so that Markdown shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
