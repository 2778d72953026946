"""Ray as the engine: an actor for each worker, which Ray places, and starts again elsewhere."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from luthier.errors import LuthierError, StudyError
from luthier.run.devices import Place
from luthier.run.placing import failed, order_for, outcome, work_here
from luthier.run.supervisor import HANG_SECONDS
from luthier.run.worker import Train
from luthier.study.study import Study


@dataclass(frozen=True)
class RayEngine:
    """Worker loops as Ray actors.

    Attributes:
        num_workers: trials at the same time.
        gpus_per_worker: share of a GPU that Ray reserves for each; 0.5 puts two on one.
        cpus_per_worker: cores that Ray reserves for each, and for so many its libraries start threads.
        address: the cluster's address, as for ``ray.init``; None for the one there is, or a local one.
        max_restarts: how often Ray starts a worker again whose process or node died; -1 for always.
        hang_after: seconds without processor time after which a trial's process is killed.
    """

    num_workers: int
    gpus_per_worker: float = 0.0
    cpus_per_worker: float = 1.0
    address: str | None = None
    max_restarts: int = -1
    hang_after: float = HANG_SECONDS

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            StudyError: fewer than one worker, or a negative share.
        """
        if self.num_workers < 1:
            raise StudyError(f"num_workers must be 1 or more, got {self.num_workers!r}.")
        if self.gpus_per_worker < 0 or self.cpus_per_worker < 0:
            raise StudyError("gpus_per_worker and cpus_per_worker must not be negative.")

    @property
    def workers(self) -> int:
        """Return how many trials run at the same time."""
        return self.num_workers

    def run(self, study: Study, train: Train) -> str:
        """Have the actors train until the study has no jobs left, and return why it ended.

        Raises:
            StudyError: Ray is not installed, a store that other processes cannot open, or no actor could work.
            TrialError: the training code raised; the message holds its traceback.
            KeyboardInterrupt: after the actors were killed. What they trained goes on in the next run: at once
                on this machine, elsewhere when its leases have lapsed.
        """
        try:
            import ray
        except ImportError as error:
            raise StudyError("This engine needs Ray: pip install 'luthier[ray]'.") from error
        place = Place(cores=self.cpus_per_worker or None, share=self.gpus_per_worker or None)
        order = order_for(study, train, self.hang_after, place)
        if not ray.is_initialized():
            ray.init(address=self.address, log_to_driver=False, include_dashboard=None)
        actors = [self._actor(ray) for _ in range(self.num_workers)]
        answers: list[tuple[str, str]] = []
        try:
            working = {actor.work.remote(order): actor for actor in actors}
            while working:
                for answer in ray.wait(list(working))[0]:
                    answers.append(_heard(ray, answer))
                    # It holds its cores as long as it lives, and others may wait for them to begin.
                    ray.kill(working.pop(answer))
            return outcome(study, answers)
        finally:
            for actor in actors:
                ray.kill(actor)
            with contextlib.suppress(LuthierError):  # a store that is gone: the leases will lapse
                study.release_lapsed("the study ended")

    def _actor(self, ray: Any) -> Any:
        options = {
            "num_cpus": self.cpus_per_worker,
            "num_gpus": self.gpus_per_worker,
            "max_restarts": self.max_restarts,
            "max_task_retries": self.max_restarts,
        }

        class Worker:
            def work(self, order: Any) -> tuple[str, str]:
                return work_here(order)

        return ray.remote(Worker).options(**options).remote()


def _heard(ray: Any, answer: Any) -> tuple[str, str]:
    """Return what an actor answers; for one that never came to its loop what Ray says of it."""
    try:
        return ray.get(answer)
    except ray.exceptions.RayError as error:
        return failed(error)


def ray(
    num_workers: int,
    gpus_per_worker: float = 0.0,
    cpus_per_worker: float = 1.0,
    address: str | None = None,
    hang_after: float = HANG_SECONDS,
) -> RayEngine:
    """Return the engine for ``tune(..., workers=luthier.run.ray(num_workers=8))``; see RayEngine.

    Raises:
        StudyError: fewer than one worker, or a negative share.
    """
    return RayEngine(
        num_workers, gpus_per_worker, cpus_per_worker, address=address, hang_after=hang_after
    )
