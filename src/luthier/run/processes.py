"""Ends a worker together with all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal

_ROUNDS = 3  # a process may start another one while we look


def kill_session(leader: int) -> None:
    """Kill the processes of a worker's session; 0 is no worker.

    A worker leads a session of its own. A script that it runs has a process group of its own in it, and
    so may what the script starts: the group alone would leave them on the machine, and on its GPU.
    """
    if not leader:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for _ in range(_ROUNDS):
        members = session_of(leader)
        for pid in members:
            tell(pid, signal.SIGKILL)
        if not members:
            return


def session_of(leader: int) -> list[int]:
    """Return the processes of the session that *leader* began, also when it is gone itself."""
    import psutil

    members: list[int] = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):  # gone by now
            if os.getsid(pid) == leader:
                members.append(pid)
    return members


def tell(pid: int, what: signal.Signals) -> None:
    """Send a signal to a process, if it is there; 0 is none."""
    if pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, what)
