"""Axes to draw on. matplotlib is imported only here, when somebody asks for a picture."""

from __future__ import annotations

from typing import Any

from luthier.errors import StudyError


def axes_or_new(axes: Any, *, width: float = 7.0, height: float = 4.2) -> Any:
    """Return *axes*, or those of a new figure of *width* by *height* inches.

    The new figure belongs to nobody: it opens no window and needs no display.

    Raises:
        StudyError: matplotlib is not installed.
    """
    if axes is not None:
        return axes
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise StudyError(
            'A picture needs matplotlib, which is not here: pip install "luthier[plot]".'
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()
