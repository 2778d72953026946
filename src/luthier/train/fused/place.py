"""Where compiled programs are kept on the disk; asked without JAX."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "LUTHIER_PROGRAMS"  # where to keep compiled programs; empty for nowhere


def folder() -> Path | None:
    """Return where programs are kept: ``$LUTHIER_PROGRAMS``, else a cache.

    None when that is empty, or where the user has no home folder (a container's nameless user).
    """
    named = os.environ.get(FOLDER)
    if named is not None:
        return Path(named) if named else None
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(cache) / "luthier" / "programs"
