"""Runs of one tuner on one task, each kept in a file as soon as it is done."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from peers.luthier_tuner import source_digest
from peers.results import note

from fidelity import OWN, Setting, open_tuner, own
from fidelity.curves import Curves, catalogue
from fidelity.meter import Meter, OutOfTime
from fidelity.workers import Crew

Record = dict[str, Any]  # of one run: found, epochs, trials, seconds, version; or error
Runs = dict[str, dict[str, dict[int, Record]]]  # task -> tuner -> seed


class Run(NamedTuple):
    """One tuner on one task with one seed; *trainings* is its budget in full trainings."""

    task: str
    tuner: str
    seed: int
    workers: int
    trainings: int
    venvs: Path
    limit: float

    def path(self, cache: Path) -> Path:
        return cache / f"{self.task}__{self.tuner}__{self.workers}w__{self.seed}.json"


def digest() -> str:
    """Return that of Luthier's code on which a run depends."""
    return source_digest(*own.DECIDING)


def perform(wanted: list[Run], cache: Path, jobs: int, code: str) -> None:
    """Do the runs that are not in the cache."""
    todo = [run for run in wanted if kept(run, cache, code) is None]
    note(f"{len(todo)} of {len(wanted)} runs to do")
    begin = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        futures = {pool.submit(perform_one, run): run for run in todo}
        for done, future in enumerate(as_completed(futures), 1):
            run, record = futures[future], future.result()
            partial = run.path(cache).with_suffix(".partial")
            partial.write_text(json.dumps(record))
            partial.replace(run.path(cache))
            words = record.get("error") or record.get("stopped") or f"{record['wall']:.1f} s"
            place = f"{run.task} {run.tuner} {run.workers} workers, seed {run.seed}"
            note(f"{done}/{len(todo)} {time.monotonic() - begin:.0f} s: {place}: {words}")


def perform_one(run: Run) -> Record:
    """Return what a run found, or the error that ended it; what came before the error is kept."""
    task = catalogue()[0][run.task]
    budget = run.trainings * task.epochs
    setting = Setting(task.space, task.epochs, budget, run.workers, run.seed)
    curves, meter = Curves(task), Meter(run.limit)
    record: Record = {"trainings": run.trainings}
    if run.tuner.startswith(OWN):
        record |= {"source": digest(), "version": own.version()}
    try:
        if run.tuner.startswith(OWN):
            record |= own.perform(run.tuner, setting, curves, meter)
        else:
            record |= perform_asked(run, setting, curves, meter)
    except OutOfTime as error:
        record["stopped"] = str(error)
    except Exception as error:
        record["error"] = f"{type(error).__name__}: {error}"
    return record | meter.record()


def perform_asked(run: Run, setting: Setting, curves: Curves, meter: Meter) -> Record:
    tuner = open_tuner(run.tuner, setting, venvs=run.venvs, patience=run.limit)
    try:
        crew = Crew(tuner, curves, meter, setting.workers, setting.budget)
        crew.work()
        spent = crew.now * setting.workers
        return {
            "version": tuner.version,
            "seconds": tuner.seconds,
            "trials": len(crew.trials),
            "time": crew.now,
            "idle": crew.idle_time / spent if spent else 0.0,
        }
    finally:
        tuner.close()


def kept(run: Run, cache: Path, code: str) -> Record | None:
    """Return a run's kept result, if it is whole (or as far as it gets) and of the same code.

    *code* is the digest of Luthier's, "" to take what any code found.
    """
    if not run.path(cache).exists():
        return None
    record = json.loads(run.path(cache).read_text())
    same = record["trainings"] == run.trainings  # some plan ahead for that number
    if run.tuner.startswith(OWN) and code:
        same = same and record.get("source") == code
    return record if same and "error" not in record else None


def gathered(wanted: list[Run], cache: Path, code: str) -> Runs:
    """Return all results, failed runs included; of Luthier's, only what this code found."""
    runs: Runs = {}
    for run in wanted:
        record = kept(run, cache, code)
        if record is None and run.path(cache).exists():
            failed = json.loads(run.path(cache).read_text())
            record = failed if "error" in failed else None
        if record is not None:
            runs.setdefault(run.task, {}).setdefault(run.tuner, {})[run.seed] = record
    return runs
