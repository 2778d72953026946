"""HTML for notebooks: a space as a table, and what all of Luthier's tables are made of.

No colours but the notebook's own, so that it reads in light and dark; every text is escaped; no script,
no style sheet and no request, so it stays as it is when the notebook is sent or printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luthier.space.space import Space

_LINE = "1px solid rgba(128,128,128,.35)"
_DIM = "opacity:.7"
_CELL = f"padding:2px 10px 2px 0;text-align:left;border-bottom:{_LINE};overflow-wrap:anywhere"
_LONGEST = 200  # characters of one text
_ROWS = 60


def text(value: Any) -> str:
    """Return a value as escaped text, its middle left out where it is very long."""
    told = str(value)
    if len(told) > _LONGEST:
        told = f"{told[: _LONGEST // 2]}…{told[-_LONGEST // 2 :]}"
    return escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in told))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of at most 60 rows; what is left out is counted below it."""
    known = list(rows)
    cells = "".join(f'<th style="{_CELL};font-weight:600">{text(h)}</th>' for h in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{text(c)}</td>' for c in row) + "</tr>"
        for row in known[:_ROWS]
    )
    more = dim(f"and {len(known) - _ROWS} more") if len(known) > _ROWS else ""
    return (
        f'<div style="overflow-x:auto"><table style="border-collapse:collapse;background:none">'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>{more}"
    )


def dim(told: str) -> str:
    """Return a line of less weight."""
    return f'<div style="{_DIM}">{text(told)}</div>'


def box(title: str, *parts: str) -> str:
    """Return HTML parts under a title, in a frame."""
    return (
        f'<div style="border:{_LINE};border-radius:6px;padding:8px 12px;max-width:60em;'
        f'line-height:1.4"><div style="font-weight:600">{text(title)}</div>{"".join(parts)}</div>'
    )


def space_html(space: Space) -> str:
    """Return a space as a table: a row for each hyperparameter, then its constraints."""
    rows = [
        (name, repr(domain.free), " and ".join(f"{p} in {list(v)}" for p, v in domain.condition))
        for name, domain in space.domains.items()
    ]
    conditional = any(row[2] for row in rows)
    head = ["hyperparameter", "domain", *(["only with"] if conditional else [])]
    told = table(head, [row if conditional else row[:2] for row in rows])
    return box(
        f"Space of {space.dimension} searched hyperparameters",
        told,
        *(dim(f"constraint: {c.text}") for c in space.constraints),
    )
