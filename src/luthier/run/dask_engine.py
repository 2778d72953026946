"""Dask as the engine: one long task for each worker loop."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, replace
from typing import Any

from luthier.errors import LuthierError, StudyError
from luthier.run.devices import Place
from luthier.run.placing import failed, order_for, outcome, work_here
from luthier.run.supervisor import HANG_SECONDS
from luthier.run.worker import Train
from luthier.study.study import Study


@dataclass(frozen=True)
class DaskEngine:
    """Worker loops as tasks of a Dask cluster.

    Dask does not stop a running task, so loops end by the study's log: when it has no jobs left, or is
    stopped. A task whose worker died is begun again on another one. Loops on one machine share its cores,
    and its GPUs unless each sees GPUs of its own.

    Attributes:
        client: a ``distributed.Client``.
        num_workers: trials at the same time; by default one for each worker of the cluster.
        gpus_per_worker: needs workers that were started with the resource ``GPU``.
        hang_after: seconds without processor time after which a trial's process is killed.
    """

    client: Any
    num_workers: int | None = None
    gpus_per_worker: float = 0.0
    hang_after: float = HANG_SECONDS

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: no client, or fewer than one worker.
        """
        if not hasattr(self.client, "submit"):
            raise StudyError(f"Expected a distributed.Client, got {self.client!r}.")
        if self.num_workers is not None and self.num_workers < 1:
            raise StudyError(f"num_workers must be 1 or more, got {self.num_workers!r}.")

    @property
    def workers(self) -> int:
        """Return how many trials run at the same time."""
        return self.num_workers or max(1, len(self._addresses()))

    def _addresses(self) -> list[str]:
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def run(self, study: Study, train: Train) -> str:
        """Have the tasks train until the study has no jobs left, and return why it ended.

        Raises:
            StudyError: a store that other processes cannot open, or no loop could work.
            TrialError: the training code raised; the message holds its traceback.
            KeyboardInterrupt: after the loops were told to end.
        """
        order = order_for(study, train, self.hang_after)
        orders = [replace(order, place=place) for place in self._places(self.workers)]
        loops = {self._begin(order, i): i for i, order in enumerate(orders)}
        answers: list[tuple[str, str]] = []
        try:
            while loops:
                for task in self._finished(list(loops)):
                    index = loops.pop(task)
                    answer = _heard(task)
                    if answer is None:
                        loops[self._begin(orders[index], index)] = index
                    else:
                        answers.append(answer)
        except BaseException as error:
            self._end(study, list(loops), error)
            raise
        return outcome(study, answers)

    def _end(self, study: Study, tasks: list[Any], error: BaseException) -> None:
        """Have loops end that nobody waits for any more; what keeps them from it does not hide *error*."""
        interrupted = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(Exception):  # a scheduler that is gone
            self.client.cancel(tasks)  # those that have not begun
        with contextlib.suppress(LuthierError):
            study.steer.stop("interrupted" if interrupted else f"{type(error).__name__}: {error}")

    def _places(self, loops: int) -> list[Place]:
        """Return for each loop how it stands among those on its machine."""
        addresses = self._addresses()
        if not addresses:
            return [Place()] * loops
        seen: dict[str, tuple[str, str]] = self.client.run(_seen)
        mine = [seen.get(address, (address, "")) for address in addresses]
        mine = [mine[index % len(addresses)] for index in range(loops)]
        return [place_of(mine, index) for index in range(loops)]

    def _begin(self, order: Any, index: int) -> Any:
        """Begin a loop, on a worker of its own while they all live."""
        addresses = self._addresses()
        options: dict[str, Any] = {"pure": False, "retries": 3}
        if addresses:
            options |= {
                "workers": [addresses[index % len(addresses)]],
                "allow_other_workers": True,
            }
        if self.gpus_per_worker:
            options["resources"] = {"GPU": self.gpus_per_worker}
        return self.client.submit(work_here, order, **options)

    def _finished(self, tasks: list[Any]) -> list[Any]:
        import distributed

        wait: Any = distributed.wait  # typed as what it returns inside of an event loop
        done = wait(tasks, return_when="FIRST_COMPLETED").done
        return [task for task in tasks if task in done]


def _heard(task: Any) -> tuple[str, str] | None:
    """Return what a loop answers; None where its workers died more often than Dask likes.

    The study's log says what such a loop has done, so another one goes on with it.
    """
    try:
        return task.result()
    except Exception as error:
        return None if type(error).__name__ == "KilledWorker" else failed(error)


def _seen() -> tuple[str, str]:
    """Return the machine that a worker is on, and the cards that it is allowed to see there."""
    return socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES", "")


def place_of(seen: list[tuple[str, str]], index: int) -> Place:
    """Return the place of loop *index* where the loops have *seen* these machines and cards."""
    beside = [i for i, (machine, _) in enumerate(seen) if machine == seen[index][0]]
    alike = [i for i in beside if seen[i] == seen[index]]
    if len(alike) == len(beside):
        return Place(beside.index(index), len(beside))
    # Somebody (dask-cuda does) has told each worker cards in an order of its own: its first is its own.
    return Place(0, len(beside), share=1 / len(alike), number=beside.index(index))


def dask(
    client: Any,
    num_workers: int | None = None,
    gpus_per_worker: float = 0.0,
    hang_after: float = HANG_SECONDS,
) -> DaskEngine:
    """Return the engine for ``tune(..., workers=luthier.run.dask(client))``; see DaskEngine.

    Raises:
        StudyError: no client, or fewer than one worker.
    """
    return DaskEngine(client, num_workers, gpus_per_worker, hang_after)
