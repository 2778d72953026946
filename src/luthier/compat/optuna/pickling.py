"""Studies and trials in other processes: pickled by where they are kept, not by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luthier.compat.optuna.storages import store_of
from luthier.compat.optuna.telling import own_trial
from luthier.compat.optuna.trial import Asked, Trial
from luthier.run.opening import open_study
from luthier.storage import MemoryStore
from luthier.study.log import read_bodies

if TYPE_CHECKING:
    from luthier.compat.optuna.labels import Objects
    from luthier.compat.optuna.pruners import BasePruner
    from luthier.compat.optuna.samplers import BaseSampler
    from luthier.compat.optuna.study import Study


def study_parts(study: Study) -> tuple[Any, ...]:
    """Return what ``study_again`` needs: the store's address, or the log where there is none."""
    store = study.own.store
    log = None
    if store.address == "memory":
        log = [bytes(body) for _, body in read_bodies(store, study.study_name)]
    return study.study_name, store.address, log, study.sampler, study.pruner, study.objects


def study_again(
    name: str,
    address: str,
    log: list[bytes] | None,
    sampler: BaseSampler,
    pruner: BasePruner,
    objects: Objects,
) -> Study:
    """Open the study there; one of a memory store is a copy, as in Optuna."""
    from luthier.compat.optuna.study import Study

    store = store_of(address)
    if log is not None:
        store = MemoryStore()
        store.append(name, log)
    study = Study(open_study(name, storage=store), sampler, pruner)
    study.objects = objects
    return study


def trial_again(
    study: Study,
    number: int,
    asked: Asked,
    reported: dict[int, float],
) -> Trial:
    """Return the trial of that number, with what it has suggested and reported so far."""
    study.own.refresh()
    trial = Trial(study, own_trial(study, number), by_hand=True)
    trial.asked, trial.intermediate_values = asked, reported
    study.live[number] = trial
    return trial
