"""Progress in a notebook: one output of the cell, written anew while the study runs.

IPython is there already where this is used; nothing here imports it.
"""

from __future__ import annotations

import sys
from typing import Any


def in_kernel() -> bool:
    """Return whether a notebook's kernel runs this program, so that it can show HTML."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


class Output:
    """An output of the cell that runs now, which shows HTML beside plain text for other viewers."""

    def __init__(self, html: str, plain: str) -> None:
        from IPython.display import display  # pyright: ignore

        show: Any = display
        self._handle: Any = show(_bundle(html, plain), raw=True, display_id=True)

    def update(self, html: str, plain: str) -> None:
        """Show this in place of what was there; from any thread."""
        self._handle.update(_bundle(html, plain), raw=True)


def _bundle(html: str, plain: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": plain}
