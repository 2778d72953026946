"""Who holds a lease, and whether that process still lives.

A worker killed with SIGKILL says nothing. Its process id, its start time and the machine's boot id
tell any other process on the machine that it is gone, at once and without a clock.
"""

from __future__ import annotations

import itertools
import os
import socket
import weakref
from enum import Enum
from functools import lru_cache
from pathlib import Path

from luthier.study.events import Holder

_instances = itertools.count(1)
_living: weakref.WeakValueDictionary[int, object] = weakref.WeakValueDictionary()


def holder_for(owner: object) -> Holder:
    """Return the identity under which *owner*, an object of this process, takes leases.

    The leases are void once the process ends or *owner* is garbage.
    """
    instance = next(_instances)
    _living[instance] = owner
    return _here(os.getpid(), instance)


def _here(pid: int, instance: int) -> Holder:
    return Holder(
        socket.gethostname(), _boot(), _namespace(), pid, _started(pid) or "unknown", instance
    )


class Liveness(Enum):
    """What this process can tell about another one."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"  # on another machine, or in another container


def liveness(holder: Holder, *, local: bool = True) -> Liveness:
    """Return whether the process that *holder* names can still be training.

    With *local* every holder is or was on this machine: another boot id means that it was restarted,
    or that the store was carried here from elsewhere.
    """
    if holder.boot != _boot():
        rebooted = local or holder.host == socket.gethostname()
        return Liveness.GONE if rebooted else Liveness.UNKNOWN
    if holder.namespace != _namespace():
        return Liveness.UNKNOWN
    if holder.pid == os.getpid():
        ours = holder.started == _started(holder.pid) and holder.instance in _living
        return Liveness.ALIVE if ours else Liveness.GONE
    return Liveness.ALIVE if _started(holder.pid) == holder.started else Liveness.GONE


def is_gone(pid: int) -> bool:
    """Return True when no process has this number, or what it left behind is only its number."""
    return _started(pid) is None


def _started(pid: int) -> str | None:
    """Return the start time of a living process, None for a dead one or a zombie."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _started_elsewhere(pid)
    except (ProcessLookupError, PermissionError):
        return None
    state, threads, start = after_name[0], int(after_name[17]), after_name[19]
    # A zombie with other threads is still about to let go of its files and their locks.
    return None if state == "X" or (state == "Z" and threads < 2) else start


def _started_elsewhere(pid: int) -> str | None:
    """Do the same where there is no /proc (macOS, Windows)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


@lru_cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return f"{socket.gethostname()}:{psutil.boot_time():.0f}"


@lru_cache
def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "the only one"
