"""Writes a report to a file: one HTML page that needs nothing else, or Markdown and its pictures."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from luthier.app.report.html_page import page
from luthier.app.report.markdown import document
from luthier.app.report.parts import Picture, Report
from luthier.app.whole_files import replace
from luthier.errors import LuthierError, StudyError, nearest

_MOST = 90_000  # bytes of a picture as lines; above, it is drawn as points
_SUFFIXES = (".html", ".md")


def write(report: Report, file: str | Path) -> Path:
    """Write *report* to *file* and return its path.

    ``.html`` is one self-contained page without a request to anywhere, of 2 MB at most in practice;
    ``.md`` has its pictures in a folder beside it, called like the file with ``-pictures``.

    Raises:
        LuthierError: another suffix, or the file cannot be written.
        StudyError: matplotlib is not installed.
    """
    path = Path(file)
    if path.suffix.lower() not in _SUFFIXES:
        raise LuthierError(
            f"Cannot tell from {str(file)!r} what to write: expected a name that ends in .html or "
            f".md.{nearest(path.suffix.lower(), _SUFFIXES)}"
        )
    pictures = {p.name: drawn for p in _pictures(report) if (drawn := _drawn(p)) is not None}
    try:
        if path.suffix.lower() == ".html":
            sources = {name: _address(*drawn) for name, drawn in pictures.items()}
            replace(path, page(report, sources).encode())
            return path
        folder = path.with_name(f"{path.stem}-pictures")
        if pictures:
            folder.mkdir(exist_ok=True)
        sources = {
            name: f"{quote(folder.name)}/{name}.{kind}" for name, (kind, _) in pictures.items()
        }
        for name, (kind, data) in pictures.items():
            replace(folder / f"{name}.{kind}", data)
        replace(path, document(report, sources).encode())
    except OSError as error:
        raise LuthierError(f"Cannot write {path}: {error}.") from error
    return path


def _pictures(report: Report) -> list[Picture]:
    return [p for section in report.sections for p in section.parts if isinstance(p, Picture)]


def _drawn(picture: Picture) -> tuple[str, bytes] | None:
    """Return the picture's kind and bytes, None where there is too little to draw."""
    from luthier.insight.drawing import new_figure

    new_figure(1, 1)  # says it when matplotlib is missing
    try:
        figure = picture.draw()
    except StudyError:
        return None
    lines = _saved(figure, "svg")
    return ("svg", lines) if len(lines) <= _MOST else ("png", _saved(figure, "png"))


def _saved(figure: Any, kind: str) -> bytes:
    """Return the figure's file, the same bytes for the same figure."""
    from matplotlib import rc_context

    out = BytesIO()
    with rc_context({"svg.hashsalt": "luthier", "svg.fonttype": "none"}):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(out, format=kind, dpi=110, metadata=metadata)
    return out.getvalue()


def _address(kind: str, data: bytes) -> str:
    media = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{media};base64,{base64.b64encode(data).decode()}"
