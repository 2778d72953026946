"""Which devices there are, and what a worker's environment must say so that it uses its own share.

Nothing here imports a framework or touches a device: the supervisor must stay clean.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

from luthier.errors import StudyError

THREADS = (  # what libraries read to know how many threads to start
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# Both names say the same to JAX, which refuses to start where it finds the two of them.
JAX_MEMORY = ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION")
_TAKEN = 0.9  # of a shared card, by all that share it: their contexts need the rest
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Place:
    """Where an engine has put a loop of workers.

    Attributes:
        loop: its number among the loops that see the same cards, from 0.
        loops: how many these are.
        number: its number among the loops on its machine, where that is another one.
        cores: what is reserved for it; None: its share of those that this process may use.
        share: the part of a GPU that is its own, 0.5 where two loops share one; None: all loops share the
            cards that they see, in turn.
    """

    loop: int = 0
    loops: int = 1
    cores: float | None = None
    share: float | None = None
    number: int | None = None


ALONE = Place()


def gpus() -> list[str]:
    """Return the names by which CUDA_VISIBLE_DEVICES calls the GPUs this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [d.strip() for d in visible.split(",") if d.strip() not in ("", "-1")]
    cards = Path("/proc/driver/nvidia/gpus")
    return [str(i) for i in range(len(list(cards.iterdir())))] if cards.is_dir() else []


def cores() -> int:
    """Return how many cores this process sees; see ``usable_cores``."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota(root: Path = _GROUPS) -> float | None:
    """Return how many cores the control groups of this process allow in all; None for no bound.

    A container sees all cores of its machine, but is stopped for the rest of each tenth of a second once
    its processes have used this much.
    """
    bounds: list[float] = []
    for folder in _groups(root):
        with contextlib.suppress(OSError, ValueError):
            most, period = (folder / "cpu.max").read_text().split()
            if most != "max":
                bounds.append(float(most) / float(period))
    return min(bounds, default=None)


def _groups(root: Path) -> list[Path]:
    """Return the folders of this process's control group and of those around it."""
    own = root
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                own = root / line.removeprefix("0::/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]


def usable_cores() -> int:
    """Return how many cores this process can keep busy: those that it sees, within its container's quota."""
    bound = quota()
    return cores() if bound is None else max(1, min(cores(), round(bound)))


def threads() -> int:
    """Return how many cores are this process's share: of a supervised worker, or what the user has set."""
    said = os.environ.get(THREADS[0], "")
    return max(1, min(usable_cores(), int(said))) if said.isdecimal() else usable_cores()


def environment(
    slot: int, workers: int, gpus_per_trial: float | None = None, place: Place = ALONE
) -> dict[str, str]:
    """Return what the environment of worker *slot* (from 0) of *workers* must hold.

    A fair share of the cores, unless the user has set the thread counts, and of the GPUs: one each, in
    turn, when there are several of both; else *gpus_per_trial* of them. Half a GPU is a GPU that two
    trials share: JAX is told to take no more of its memory than that, TensorFlow to take only what it needs,
    as PyTorch does. What the user has set stays.
    """
    slot, beside = place.loop * workers + slot, place.loops * workers
    mine = min(place.cores or math.inf, usable_cores() / place.loops)
    share = str(max(1, int(mine / workers)))
    own: dict[str, str] = dict.fromkeys(THREADS, share)
    alone = beside == 1 and gpus_per_trial is None  # whoever placed it knew what it is to see
    cards = None if alone else cards_of(slot, gpus(), gpus_per_trial)
    part = _part_of_a_card(workers, gpus_per_trial, place)
    if part < 1:
        own["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        if not any(name in os.environ for name in JAX_MEMORY):
            own[JAX_MEMORY[0]] = f"{_TAKEN * part:.2f}"
    own = {name: value for name, value in own.items() if name not in os.environ}
    if cards is not None:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(cards)
    on_machine = 0 if place.number is None else (place.number - place.loop) * workers
    own["LUTHIER_SLOT"] = str(slot + on_machine)
    return own


def _part_of_a_card(workers: int, gpus_per_trial: float | None, place: Place) -> float:
    """Return how much of a card each of a loop's *workers* may take; 1 where none is shared.

    >>> _part_of_a_card(2, None, Place(share=0.5))
    0.25
    """
    if gpus_per_trial is not None:
        return gpus_per_trial if 0 < gpus_per_trial < 1 else 1.0
    if place.share is not None:
        return min(place.share / workers, 1.0)
    cards, beside = len(gpus()), place.loops * workers
    return 1 / max(1, math.ceil(beside / cards)) if cards else 1.0


def cards_of(slot: int, cards: list[str], gpus_per_trial: float | None) -> list[str] | None:
    """Return the cards of worker *slot*; None to leave it with what this process sees.

    >>> [cards_of(slot, ["0", "1"], 0.4) for slot in range(4)]
    [['0'], ['0'], ['1'], ['1']]
    """
    if gpus_per_trial is None:
        return [cards[slot % len(cards)]] if len(cards) > 1 else None
    if gpus_per_trial == 0:
        return []
    if not cards:
        return None
    if gpus_per_trial < 1:
        return [cards[slot // _on_one(gpus_per_trial) % len(cards)]]
    each = int(gpus_per_trial)
    return [cards[(slot * each + i) % len(cards)] for i in range(min(each, len(cards)))]


def _on_one(share: float) -> int:
    """Return how many trials that each take *share* of a GPU fit on one."""
    return int(1 / share + 1e-9)


def checked_share(gpus_per_trial: float | None, workers: int) -> None:
    """Refuse a share of the GPUs that cannot be.

    Raises:
        StudyError: it is negative, above 1 and not whole, or more than this machine has.
    """
    if not gpus_per_trial:
        return
    if gpus_per_trial < 0 or (gpus_per_trial > 1 and gpus_per_trial != int(gpus_per_trial)):
        raise StudyError(
            "gpus_per_trial must be 0, a fraction such as 0.5, or a whole number, got "
            f"{gpus_per_trial!r}."
        )
    there = len(gpus())
    if gpus_per_trial < 1:
        needed = math.ceil(workers / _on_one(gpus_per_trial))
        fit = f", with {_on_one(gpus_per_trial)} trials on each"
    else:
        needed, fit = int(gpus_per_trial) * workers, ""
    if needed > there:
        raise StudyError(
            f"workers={workers} with gpus_per_trial={gpus_per_trial} need {needed} "
            f"GPU{'s' * (needed > 1)}{fit}, this machine has {there}: take fewer workers, or a smaller "
            "share."
        )
