"""Where trials run: what Ray, Dask and this machine's supervisor have in common."""

from __future__ import annotations

import os
from typing import Protocol

from luthier.errors import StudyError
from luthier.run.supervisor import GRACE_SECONDS
from luthier.run.worker import Train
from luthier.study.study import Study

SLOTS = "LUTHIER_SLOTS"
GRACE = "LUTHIER_GRACE"


class Engine(Protocol):
    """Starts and stops worker loops; the study's log is all that they share."""

    @property
    def workers(self) -> int:
        """Return how many trials run at the same time."""
        ...

    def run(self, study: Study, train: Train) -> str:
        """Have workers train until the study has no jobs left, and return why it ended."""
        ...


def wanted_workers(workers: int | Engine | None) -> int | Engine:
    """Return what to run with: the machine's slots as ``luthier worker --slots`` set them, or *workers*.

    Raises:
        StudyError: no whole number above 0, and no engine.
    """
    if slots := os.environ.get(SLOTS):
        return int(slots)
    if workers is None:
        return 1
    if isinstance(workers, int):
        if isinstance(workers, bool) or workers < 1:
            raise StudyError(f"workers must be a whole number above 0, got {workers!r}.")
        return workers
    if not hasattr(workers, "run"):
        raise StudyError(
            "workers must be a whole number above 0, or an engine such as "
            f"luthier.run.ray(num_workers=8), got {workers!r}."
        )
    return workers


def grace_seconds() -> float:
    """Return how long trials get after SIGTERM: what ``luthier worker --grace`` said, or a minute."""
    return float(os.environ.get(GRACE, GRACE_SECONDS))
