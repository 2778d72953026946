"""Which rank this process is, of how many, and where they meet."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from luthier.errors import StudyError

ADDRESS = "LUTHIER_RANKS"  # where a leader hands its socket's path to the processes that it starts
_IDENTIFIES_A_RUN = ("MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
_group: list[Group] = []  # of this process; at most one


@dataclass(frozen=True)
class Group:
    """The processes that train one trial together.

    Attributes:
        rank: this process's number, from 0.
        size: how many there are.
        address: the path of the socket on which rank 0 listens.
    """

    rank: int
    size: int
    address: str


def group_here() -> Group | None:
    """Return the group of this process; None where it trains by itself.

    Once it has met, it stays; else it is asked in this order: who started this process with a socket to
    meet at (Lightning's launcher), ``torchrun`` and those that set the same variables (``RANK``,
    ``LOCAL_RANK``, ``WORLD_SIZE``), and a process group that ``torch.distributed`` has already.

    Raises:
        StudyError: the ranks are on several machines.
    """
    if _group:
        return _group[0]
    known = os.environ.get
    rank, local, size = known("RANK"), known("LOCAL_RANK"), int(known("WORLD_SIZE") or 1)
    if size > 1 and known(ADDRESS) and local is not None:
        return Group(int(local), size, os.environ[ADDRESS])
    if size > 1 and rank is not None and local is not None:
        here = int(known("LOCAL_WORLD_SIZE") or size)
        if here != size:
            raise _several_machines(size, f"{here} of them on this one")
        words = [str(os.getppid()), *(known(name, "") for name in _IDENTIFIES_A_RUN)]
        return Group(int(rank), size, _path("\0".join(words)))
    return _initialized()


def met(group: Group) -> None:
    """Remember the group of this process: the script may tune again."""
    _group[:] = [group]


def rank_here() -> int:
    """Return this process's rank, 0 where it trains by itself; asks no other process."""
    if (distributed := _distributed()) is not None:
        return int(distributed.get_rank())
    known = os.environ.get
    if int(known("WORLD_SIZE") or 1) > 1:
        return int(known("RANK") or known("LOCAL_RANK") or 0)
    return 0


def new_address() -> str:
    """Return the path of a socket that no other run uses."""
    return _path(f"{os.getpid()}\0{os.urandom(8).hex()}")


def _distributed() -> Any:
    """Return ``torch.distributed`` where it has a group of several processes."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed if distributed.get_world_size() > 1 else None


def _initialized() -> Group | None:
    if (distributed := _distributed()) is None:
        return None
    rank, size = int(distributed.get_rank()), int(distributed.get_world_size())
    told: list[Any] = [(new_address(), socket.gethostname()) if rank == 0 else None]
    distributed.broadcast_object_list(told, src=0)
    address, host = told[0]
    if host != socket.gethostname():
        raise _several_machines(size, f"rank 0 on {host!r}, rank {rank} here")
    return Group(rank, size, address)


def _several_machines(size: int, where: str) -> StudyError:
    return StudyError(
        f"This training has {size} processes on several machines ({where}): a trial of Luthier trains on "
        "one machine. Start one torchrun on each machine, each with its own ranks, on one study in a "
        "store that they share (storage='postgresql://...' or a luthier server)."
    )


def _path(words: str) -> str:
    """Return a path in a folder that only this user can enter; short, as sockets need it."""
    folder = Path(tempfile.gettempdir()) / f"luthier-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise StudyError(
            f"{folder} must be a folder that only you can enter, for the sockets by which ranks meet: "
            "delete it, or set TMPDIR."
        )
    return str(folder / blake2b(words.encode(), digest_size=8).hexdigest())
