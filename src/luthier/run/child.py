"""What a worker process does: open the study, unpack the training code, run the loop."""

from __future__ import annotations

import json
import os
import pickle
import time
import traceback
from pathlib import Path
from typing import Any

from luthier.run.opening import open_study
from luthier.run.worker import work

FINISHED, REPLACE, FAILED, PREEMPTED = 0, 10, 20, 30
_GROWTH = 1.5  # a process that has grown by so much since its first trial is replaced ...
_ALLOWANCE = 300 << 20  # ... and by so many bytes on top


def run(payload: str) -> int:
    """Work on the study that *payload* describes, and return the process's exit code.

    *payload* is a JSON file; beside it lies the pickled training code, written by this user's own
    supervisor a moment ago.
    """
    order: dict[str, Any] = json.loads(Path(payload).read_text())
    left = None if order["until"] is None else max(0.001, order["until"] - time.time())
    study = open_study(order["study"], storage=order["storage"], max_time=left, renews=False)
    study.hopeful = order["hopeful"]
    train = pickle.loads(Path(order["train"]).read_bytes())
    memory = _Memory()
    try:
        reason = work(study, train, memory.has_grown)
    except Exception:
        traceback.print_exc()  # that of a trial is in the study's log, too; of any other error, only here
        return FAILED
    if study.preempted:
        return PREEMPTED
    return REPLACE if reason == "replaced" else FINISHED


class _Memory:
    """Watches the process's resident set from one trial to the next."""

    def __init__(self) -> None:
        self._first: int | None = None

    def has_grown(self) -> bool:
        now = resident_bytes()
        if self._first is None:
            self._first = now
        return now > self._first * _GROWTH + _ALLOWANCE


def resident_bytes() -> int:
    """Return the resident set of this process in bytes."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import psutil

        return psutil.Process().memory_info().rss
