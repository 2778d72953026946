"""A worker loop as something that Ray or Dask can put on a machine."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass

from luthier.errors import LuthierError, StudyError, TrialError
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

    Returns ``("ended", reason)``, or ``("error", message)`` when the training code raised.
    """
    left = None if order.until is None else max(0.001, order.until - time.time())
    study = open_study(order.study, storage=order.storage, max_time=left, renews=False)
    study.hopeful = order.hopeful
    try:
        train = pickle.loads(order.train)
        reason = supervise(study, train, 1, hang_after=order.hang_after, place=order.place)
        return "ended", reason
    except LuthierError as error:
        kind = "error" if isinstance(error, TrialError) else "failed"
        return kind, str(error)
    finally:
        study.close()


def outcome(answers: list[tuple[str, str]]) -> str:
    """Return why the study ended.

    Raises:
        TrialError: the training code raised; the message holds its traceback.
        StudyError: a loop could not work.
    """
    for kind, message in answers:
        if kind == "error":
            raise TrialError(message)
    for kind, message in answers:
        if kind == "failed":
            raise StudyError(message)
    return answers[0][1] if answers else "nothing is left to do"
