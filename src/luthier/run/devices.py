"""Which devices there are, and what a worker's environment must say so that it uses its own share.

Nothing here imports a framework or touches a device: the supervisor must stay clean.
"""

from __future__ import annotations

import os
from pathlib import Path

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES calls the GPUs this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [d.strip() for d in visible.split(",") if d.strip() not in ("", "-1")]
    cards = Path("/proc/driver/nvidia/gpus")
    return [str(i) for i in range(len(list(cards.iterdir())))] if cards.is_dir() else []


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(slot: int, workers: int) -> dict[str, str]:
    """Return what the environment of worker *slot* (from 0) of *workers* must hold.

    One GPU each, in turn, when there are several; and a fair share of the cores, unless the user has
    set the thread counts.
    """
    share = str(max(1, cores() // workers))
    own = {name: share for name in _THREADS if name not in os.environ}
    cards = gpus()
    if len(cards) > 1:
        own["CUDA_VISIBLE_DEVICES"] = cards[slot % len(cards)]
    own["LUTHIER_SLOT"] = str(slot)
    return own
