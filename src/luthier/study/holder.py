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

_STOPPED = ("T", "t")
_HIDDEN = "hidden"
_ANCESTORS = 4  # that are looked at: a worker, its fork server, the supervisor, and one to spare
_BOOT_SECONDS = 5  # by which two processes may disagree about when their machine was started
_instances = itertools.count(1)
_living: weakref.WeakValueDictionary[int, object] = weakref.WeakValueDictionary()


def holder_for(owner: object) -> Holder:
    """Return the identity under which *owner*, an object of this process, takes leases.

    The leases are void once the process ends or *owner* is garbage.
    """
    instance = next(_instances)
    _living[instance] = owner
    return _here(os.getpid(), instance)


def in_this_fork(holder: Holder) -> Holder:
    """Return the identity of the same owner in this process, a fork of the one that *holder* names."""
    return _here(os.getpid(), holder.instance)


def _here(pid: int, instance: int) -> Holder:
    return Holder(
        socket.gethostname(), _boot(), _namespace(), pid, _started(pid) or "unknown", instance
    )


class Liveness(Enum):
    """What this process can tell about another one."""

    ALIVE = "alive"
    STOPPED = "stopped"  # it lives, and gets no processor: Ctrl-Z, SIGSTOP, a debugger
    GONE = "gone"
    UNKNOWN = "unknown"  # on another machine, or in another container


def liveness(holder: Holder, *, local: bool = True) -> Liveness:
    """Return whether the process that *holder* names can still be training.

    With *local* the store is a file of this machine: another boot id under this machine's name means
    that it was restarted. Under another name it may be a machine that writes through `luthier serve`.
    """
    if not _same_boot(holder.boot, _boot()):
        rebooted = local and holder.host == socket.gethostname()
        return Liveness.GONE if rebooted else Liveness.UNKNOWN
    if holder.namespace != _namespace():
        return Liveness.UNKNOWN
    state, started = _looked_up(holder.pid)
    if holder.pid == os.getpid():
        ours = holder.started == started and holder.instance in _living
        return Liveness.ALIVE if ours else Liveness.GONE
    if state == _HIDDEN:
        return Liveness.UNKNOWN
    if started != holder.started:
        return Liveness.GONE
    return Liveness.STOPPED if state in _STOPPED else Liveness.ALIVE


def held_up(holder: Holder) -> bool:
    """Return whether a process of this machine was started by one that is stopped: its supervisor."""
    pid = holder.pid
    for _ in range(_ANCESTORS):
        pid = _parent(pid)
        if pid <= 1:
            return False
        if _looked_up(pid)[0] in _STOPPED:
            return True
    return False


def is_gone(pid: int) -> bool:
    """Return True when no process has this number, or what it left behind is only its number."""
    return _started(pid) is None


def _started(pid: int) -> str | None:
    """Return the start time of a living process, None for a dead one or a zombie."""
    return _looked_up(pid)[1]


def _looked_up(pid: int) -> tuple[str, str | None]:
    """Return a process's state, as a letter of /proc, and its start time: None when it is dead."""
    try:
        after_name = _after_name(pid)
    except FileNotFoundError:
        if not Path("/proc/self").exists():
            return _looked_up_elsewhere(pid)
        # Gone; or somebody else's, where /proc does not even show that it is there (hidepid=2).
        return (_HIDDEN, "") if _is_somebody_elses(pid) else ("", None)
    except ProcessLookupError:
        return "", None
    except PermissionError:  # somebody else's, on a machine that hides what others run
        return _HIDDEN, ""
    state, threads, start = after_name[0], int(after_name[17]), after_name[19]
    # A zombie with other threads is still about to let go of its files and their locks.
    dead = state == "X" or (state == "Z" and threads < 2)
    return state, None if dead else start


def _is_somebody_elses(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _parent(pid: int) -> int:
    try:
        return int(_after_name(pid)[1])
    except OSError:
        return 0


def _after_name(pid: int) -> list[str]:
    """Return what /proc says of a process after its name: state, parent, and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _looked_up_elsewhere(pid: int) -> tuple[str, str | None]:
    """Do the same where there is no /proc (macOS, Windows)."""
    import psutil

    try:
        process = psutil.Process(pid)
        status = process.status()
        if status == psutil.STATUS_ZOMBIE:
            return "Z", None
        return "T" if status == psutil.STATUS_STOPPED else "", str(process.create_time())
    except psutil.AccessDenied:
        return _HIDDEN, ""
    except psutil.Error:
        return "", None


def _same_boot(one: str, other: str) -> bool:
    """Return whether both tell the same start of a machine: where it is a time, processes differ a little."""
    if one == other:
        return True
    (host, _, begun), (host_again, _, begun_again) = one.rpartition(":"), other.rpartition(":")
    if not host or host != host_again or not (begun.isdecimal() and begun_again.isdecimal()):
        return False
    return abs(int(begun) - int(begun_again)) <= _BOOT_SECONDS


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
