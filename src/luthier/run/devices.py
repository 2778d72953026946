"""Which devices there are, and what a worker's environment must say so that it uses its own share.

Nothing here imports a framework or touches a device: the supervisor must stay clean.
"""

from __future__ import annotations

import os
from pathlib import Path

from luthier.errors import StudyError

THREADS = (  # what libraries read to know how many threads to start
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


def threads() -> int:
    """Return how many cores are this process's share: of a supervised worker, or what the user has set."""
    said = os.environ.get(THREADS[0], "")
    return max(1, min(cores(), int(said))) if said.isdecimal() else cores()


def environment(slot: int, workers: int, gpus_per_trial: float | None = None) -> dict[str, str]:
    """Return what the environment of worker *slot* (from 0) of *workers* must hold.

    A fair share of the cores, unless the user has set the thread counts, and of the GPUs: one each, in
    turn, when there are several; else *gpus_per_trial* of them. Half a GPU is a GPU that two trials
    share; nothing keeps one of them from taking all of its memory.
    """
    share = str(max(1, cores() // workers))
    own = {name: share for name in THREADS if name not in os.environ}
    mine = cards_of(slot, gpus(), gpus_per_trial)
    if mine is not None:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        if gpus_per_trial is not None and 0 < gpus_per_trial < 1:
            own.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * gpus_per_trial:.2f}")
            own.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    own["LUTHIER_SLOT"] = str(slot)
    return own


def cards_of(slot: int, cards: list[str], gpus_per_trial: float | None) -> list[str] | None:
    """Return the cards of worker *slot*; None to leave it with what this process sees.

    >>> [cards_of(slot, ["0", "1"], 0.5) for slot in range(4)]
    [['0'], ['0'], ['1'], ['1']]
    """
    if gpus_per_trial is None:
        return [cards[slot % len(cards)]] if len(cards) > 1 else None
    if gpus_per_trial == 0:
        return []
    if not cards:
        return None
    if gpus_per_trial < 1:
        return [cards[int(slot * gpus_per_trial + 1e-9) % len(cards)]]
    each = int(gpus_per_trial)
    return [cards[(slot * each + i) % len(cards)] for i in range(min(each, len(cards)))]


def checked_share(gpus_per_trial: float | None, workers: int) -> None:
    """Refuse a share of the GPUs that cannot be.

    Raises:
        StudyError: it is negative, above 1 and not whole, or more than this machine has.
    """
    if gpus_per_trial is None:
        return
    if gpus_per_trial < 0 or (gpus_per_trial > 1 and gpus_per_trial != int(gpus_per_trial)):
        raise StudyError(
            "gpus_per_trial must be 0, a fraction such as 0.5, or a whole number, got "
            f"{gpus_per_trial!r}."
        )
    there, needed = len(gpus()), gpus_per_trial * workers
    if needed > there:
        raise StudyError(
            f"workers={workers} with gpus_per_trial={gpus_per_trial} need {needed:g} "
            f"GPU{'s' * (needed > 1)}, this machine has {there}: take fewer workers, or a smaller share."
        )
