"""What rank 0 and the other ranks say to one another, and the connection that carries it."""

from __future__ import annotations

import queue
import threading
import time
from multiprocessing.connection import Client, Connection
from typing import Any

import msgspec

from luthier.errors import StudyError

JOIN_SECONDS = 300.0  # a rank that imports a framework from a slow disk takes minutes


class _Message(msgspec.Struct, frozen=True, tag=True):
    pass


# -- from rank 0 -----------------------------------------------------------------------------------


class Logged(_Message, frozen=True):
    """Events of the study, those that came after the last ones."""

    study: str
    bodies: list[bytes]


class Begun(_Message, frozen=True):
    """A job that every rank trains now; *folder* is the checkpoint it goes on from, "" for none."""

    study: str
    trial: int
    lease: int
    configuration: dict[str, Any]
    from_step: int
    to_step: int | None
    source: tuple[int, int] | None
    folder: str


class Saving(_Message, frozen=True):
    """Write your part of the checkpoint into *folder*, and answer."""

    folder: str


class Told(_Message, frozen=True):
    """Rank 0 has reported epoch *step*, and this is the verdict."""

    step: int
    fate: str
    reason: str
    cause: str


class Turned(_Message, frozen=True):
    """Rank 0 has come to the end of an epoch of ``trial.epochs()``."""


class Returned(_Message, frozen=True):
    """Rank 0's training code has returned: do the same, and answer."""


class Finished(_Message, frozen=True):
    """The study has no more jobs for this run."""

    study: str
    reason: str
    preempted: bool


# -- from the others -------------------------------------------------------------------------------


class Joined(_Message, frozen=True):
    """The first message of a rank."""

    rank: int


class Answer(_Message, frozen=True):
    """What was asked for is done."""


class Reported(_Message, frozen=True):
    """The metrics of an epoch, where the process with the study is none of the ranks."""

    metrics: dict[str, float]


# -- from either -----------------------------------------------------------------------------------


class Failed(_Message, frozen=True):
    """The training code raised; *text* ends with its traceback."""

    text: str
    ran_out: bool = False  # of memory
    told_to_go: bool = False  # the process had SIGTERM, which may be what it raised of


Down = Logged | Begun | Saving | Told | Turned | Returned | Finished | Failed
Up = Joined | Answer | Reported | Failed
encode = msgspec.msgpack.Encoder().encode
_down, _up = msgspec.msgpack.Decoder(Down), msgspec.msgpack.Decoder(Up)


def decode_up(body: bytes) -> Up:
    """Return what another rank said to rank 0."""
    return _up.decode(body)


class Line:
    """A rank's connection to the process that leads it.

    A thread of its own reads, so that the leader is never kept waiting, and hears at once when it is gone.

    Raises:
        StudyError: nobody leads at *address*.
    """

    def __init__(self, address: str, rank: int) -> None:
        self.rank = rank
        self._connection = _connected(address, rank)
        self._heard: queue.Queue[Down | None] = queue.Queue()
        self.lost = threading.Event()
        self.send(Joined(rank))
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Up) -> None:
        """Say something; nobody may be there to hear it any more."""
        try:
            self._connection.send_bytes(encode(message))
        except OSError:
            self.lost.set()

    def next(self) -> Down:
        """Return the next message; a ``Failed`` when the leader is gone."""
        message = self._heard.get()
        if message is None:
            self._heard.put(None)
            return Failed("rank 0 ended without a word, as a killed process does")
        return message

    def _listen(self) -> None:
        try:
            while True:
                message = _down.decode(self._connection.recv_bytes())
                self._heard.put(message)
                if isinstance(message, Failed):
                    break
        except (OSError, EOFError):
            pass
        self._heard.put(None)
        self.lost.set()


def _connected(address: str, rank: int) -> Connection[Any, Any]:
    until = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            return Client(address, family="AF_UNIX")
        except OSError:
            if time.monotonic() > until:
                raise StudyError(
                    f"Rank {rank} waited {JOIN_SECONDS:g} s at {address} for rank 0, which has not come to "
                    "luthier.tune: expected every rank of this machine to run the same script."
                ) from None
            time.sleep(0.05)
