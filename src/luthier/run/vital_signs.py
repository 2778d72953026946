"""Whether a worker process still does something, and whether the machine ran out of memory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path


class Pulse:
    """The processor time of a worker's process group: what hangs uses none.

    A hung training (a deadlock, a stopped process, a dead network drive) cannot say so. It is told from
    one that is merely slow by the processor time of its whole group, data-loading processes included.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used = -1.0
        self._since = time.monotonic()

    def still_for(self) -> float:
        """Return for how many seconds the group has used no processor time."""
        used = processor_seconds(self._pid)
        now = time.monotonic()
        if used > self._used + 0.005 or used < self._used - 0.005:  # less: one of the group ended
            self._used, self._since = used, now
        return now - self._since


def processor_seconds(group: int) -> float:
    """Return the processor time of the living processes of a group, their ended children included."""
    import psutil

    total = 0.0
    try:
        leader = psutil.Process(group)
        members = [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for process in members:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def memory_kills() -> int:
    """Return how many processes the kernel has killed on this machine for want of memory."""
    found = 0
    for file, word in (("/proc/vmstat", "oom_kill"), ("/sys/fs/cgroup/memory.events", "oom_kill")):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(file).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == word:
                    found += int(value)
    return found


def memory() -> tuple[int, int]:
    """Return the bytes there are and the bytes that are free, of the machine or its container."""
    import psutil

    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    with contextlib.suppress(OSError, ValueError):
        bound = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        if bound < total:
            total, free = bound, min(free, bound - used)
    return total, free


def memory_for_one_more() -> bool:
    """Return whether twice of what this process holds is still free."""
    import psutil

    return memory()[1] > 2 * psutil.Process().memory_info().rss
