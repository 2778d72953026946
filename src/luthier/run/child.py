"""What a worker process does: open the study, unpack the training code, run the loop."""

from __future__ import annotations

import os
import pickle
import time
import traceback
from pathlib import Path
from typing import Any

from luthier.run.disk import remove_scratch
from luthier.run.opening import open_study
from luthier.run.worker import work

FINISHED, REPLACE, FAILED, PREEMPTED = 0, 10, 20, 30
_GROWTH = 1.5  # a process that has grown by so much since its first trial is replaced ...
_ALLOWANCE = 300 << 20  # ... and by so many bytes on top


def run(order: dict[str, Any], code: bytes) -> int:
    """Work on the study that *order* describes, and return the process's exit code.

    *code* is the training code as this user's own supervisor has pickled it.
    """
    try:
        return _run(order, code)
    finally:
        remove_scratch()


def _run(order: dict[str, Any], code: bytes) -> int:
    left = None if order["until"] is None else max(0.001, order["until"] - time.time())
    study = open_study(order["study"], storage=order["storage"], max_time=left, renews=False)
    study.hopeful = order["hopeful"]
    train = pickle.loads(code)
    memory = _Memory()
    try:
        reason = work(study, train, memory.has_grown)
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and study.preempted:
            return PREEMPTED  # told twice: the trial has been given back
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
