"""A worker loop as something that Ray or Dask can put on a machine.

A loop that cannot work on its machine (a store that is out of reach, a package that is missing) ends alone,
and the others go on.
"""

from __future__ import annotations

import pickle
import socket
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from luthier.errors import LuthierError, LuthierWarning, StudyError, TrialError
from luthier.run.devices import ALONE, Place
from luthier.run.opening import open_study
from luthier.run.supervisor import HANG_SECONDS, supervise
from luthier.run.worker import Train
from luthier.study.study import Study


@dataclass(frozen=True)
class Order:
    """All that a loop needs to know; it travels through the engine, never through the database.

    Attributes:
        study: its name.
        storage: the store's address.
        train: the training code, pickled by cloudpickle.
        until: when to stop, in seconds since 1970, or None.
        hang_after: see ``supervise``.
        hopeful: see ``Study``.
        place: where the engine puts the loop.
    """

    study: str
    storage: str
    train: bytes
    until: float | None
    hang_after: float
    hopeful: int
    place: Place = ALONE


def order_for(
    study: Study, train: Train, hang_after: float = HANG_SECONDS, place: Place = ALONE
) -> Order:
    """Return the order for one more loop on *study*.

    Raises:
        StudyError: a store in memory, which no other process can open; training code that cannot be
            sent.
    """
    import cloudpickle

    if study.store.address == "memory":
        raise StudyError("An engine needs a store that processes share: a path or a URL.")
    try:
        code = cloudpickle.dumps(train)
    except Exception as error:
        raise StudyError(
            f"The training code cannot be sent to other machines: {error}. Make what it uses inside "
            "the function."
        ) from error
    until = None
    if study.deadline is not None:
        until = time.time() + study.deadline - time.monotonic()
    return Order(study.name, study.store.address, code, until, hang_after, study.hopeful, place)


def work_here(order: Order) -> tuple[str, str]:
    """Run one loop on this machine until the study has no jobs left.

    Returns ``("ended", reason)``; ``("error", message)`` when the training code raised; ``("failed", message)``
    when this loop could not work.
    """
    try:
        return "ended", _worked(order)
    except TrialError as error:
        return "error", str(error)
    except Exception as error:
        return failed(error, f" on {socket.gethostname()}")


def _worked(order: Order) -> str:
    left = None if order.until is None else max(0.001, order.until - time.time())
    study = open_study(order.study, storage=order.storage, max_time=left, renews=False)
    study.hopeful = order.hopeful
    try:
        train = pickle.loads(order.train)
        return supervise(study, train, 1, hang_after=order.hang_after, place=order.place)
    finally:
        study.close()


def failed(error: Exception, where: str = "") -> tuple[str, str]:
    """Return the answer of a loop that could not work; *where* follows "a worker" in a sentence."""
    words = str(error) if isinstance(error, LuthierError) else f"{type(error).__name__}: {error}"
    return "failed", f"a worker{where} could not work: {words}"


def outcome(study: Study, answers: Sequence[tuple[str, str]]) -> str:
    """Return why the study ended; warns of loops that could not work where others could.

    Raises:
        TrialError: the training code raised; the message holds its traceback.
        StudyError: no loop could work, and the study is not over.
    """
    for kind, message in answers:
        if kind == "error":
            raise TrialError(message)
    failures = [message for kind, message in answers if kind == "failed"]
    reasons = [message for kind, message in answers if kind == "ended"]
    over = study.why_over()
    if failures and not reasons and not over:
        raise StudyError(failures[0])
    for message in dict.fromkeys(failures):
        warnings.warn(f"{message}. The others went on.", LuthierWarning, stacklevel=2)
    return over or (reasons[0] if reasons else "nothing is left to do")
