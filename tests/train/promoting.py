"""Continued = uninterrupted, under every scheduler that lets trials pause."""

from __future__ import annotations

import statistics

from pausing import curves

from luthier.run.opening import open_study
from luthier.run.worker import work
from luthier.schedule import SCHEDULERS, PopulationBasedTraining
from luthier.schedule.population import lineage
from luthier.study.events import JobLeased
from luthier.study.log import read_log

EPOCHS = 9
# The default one pauses trials of loops that write checkpoints. It comes first: it has the most trials.
PROMOTING = [
    "auto",
    *sorted(
        name
        for name, made in SCHEDULERS.items()
        if name not in ("population", "replay") and made(EPOCHS).promotes
    ),
]
FEWEST = {"auto": 6}  # trials; of fewer all train to their end
_whole = {}  # curves that nobody paused, by what trains, number and configuration


def compared(train, space, folder, scheduler, *, maximize="val_accuracy", trials=5):
    """Run a study under *scheduler* and its configurations again without one.

    Returns for each trial how often it went on, its curve, and the curve of the one that nobody paused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials = max(trials, FEWEST.get(scheduler, 0))
    searcher = getattr(SCHEDULERS[scheduler], "searcher", "random")
    options = {"maximize": maximize, "epochs": EPOCHS}
    study = open_study(
        "paused",
        space,
        scheduler=scheduler,
        searcher=searcher,
        max_trials=trials,
        storage=folder / "a.db",
        **options,
    )
    work(study, train)
    whole = uninterrupted(train, space, study.trials, storage=folder / "b.db", **options)
    jobs = [0] * len(study.trials)
    for _, event in read_log(study.store, study.name):
        if isinstance(event, JobLeased):
            jobs[event.trial] += 1
    return list(zip(jobs, curves(study), whole, strict=True))


def uninterrupted(train, space, trials, **options):
    """Return the curves of the same trials without a scheduler.

    They are trained once in a process: under most schedulers the first trials are the same random ones.
    """
    what = (type(train).__module__, getattr(train, "__name__", ""), repr(space))
    keys = [(*what, trial.number, repr(trial.configuration)) for trial in trials]
    if not _whole.keys() >= set(keys):
        study = open_study("whole", space, scheduler=None, max_trials=len(trials), **options)
        for trial in trials:
            study.enqueue(trial.configuration)
        work(study, train)
        _whole.update(zip(keys, curves(study), strict=True))
    return [_whole[key] for key in keys]


def check(found):
    """Fail unless trials were paused and each one's curve is the beginning of the uninterrupted one."""
    assert any(jobs > 1 for jobs, _, _ in found), "no trial was paused: nothing was tested"
    for _, paused, whole in found:
        assert len(whole) == EPOCHS
        assert paused == whole[: len(paused)]


def population(train, space, folder):
    """Run a small population of real trainings; fail unless children went on from copied weights."""
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(
        "population", space, maximize="val_accuracy", searcher="random",
        scheduler=PopulationBasedTraining(6, population=4, interval=1), storage=folder / "p.db",
    )  # fmt: skip
    work(study, train)
    children = [t for t in study.trials if t.parent >= 0]
    assert children
    gains = []
    for child in children:
        parent, [root, *_] = study.trials[child.parent], lineage(study.history, child)
        assert child.configuration != parent.configuration
        assert child.steps[0] == child.start + 1 > 1
        gains.append(root.curve("loss")[0] - child.curve("loss")[0])
    # Those that began with weights of their own would be where their ancestors were after one epoch.
    assert statistics.median(gains) > 0, gains
    return study
