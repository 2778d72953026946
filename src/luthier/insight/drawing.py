"""Axes to draw on. matplotlib is imported only here, when somebody asks for a picture."""

from __future__ import annotations

from typing import Any

from luthier.errors import StudyError

FILL, LINE, MARK, GREY = "#4878a8", "#222222", "#c44e52", "#aaaaaa"


def axes_or_new(axes: Any, *, width: float = 7.0, height: float = 4.2) -> Any:
    """Return *axes*, or those of a new figure of *width* by *height* inches.

    The new figure belongs to nobody: it opens no window and needs no display.

    Raises:
        StudyError: matplotlib is not installed.
    """
    if axes is not None:
        return axes
    return new_figure(width, height).add_subplot()


def grid_of_axes(count: int, across: int, *, width: float = 3.2, height: float = 2.6) -> list[Any]:
    """Return *count* axes on one new figure, *across* in a row, each of *width* by *height* inches.

    Raises:
        StudyError: matplotlib is not installed.
    """
    rows, columns = -(-count // across), min(count, across)
    figure = new_figure(width * columns, height * rows)
    return [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of *width* by *height* inches.

    Raises:
        StudyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise StudyError(
            'A picture needs matplotlib, which is not here: pip install "luthier[plot]".'
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
