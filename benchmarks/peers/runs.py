"""Runs of one tuner on one task, each kept in a file as soon as it is done: what the comparisons share."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

from peers import OWN
from peers.results import note

Record = dict[str, Any]  # of one run: what it found, version, source; or error
Runs = dict[str, dict[str, dict[int, Record]]]  # task -> tuner -> seed


class Run(Protocol):
    """One tuner on one task with one seed."""

    @property
    def task(self) -> str: ...
    @property
    def tuner(self) -> str: ...
    @property
    def seed(self) -> int: ...

    @property
    def budget(self) -> tuple[str, int]:
        """The record's field that holds what may be spent, and how much that is."""
        ...

    def path(self, cache: Path) -> Path:
        """Where its record is kept."""
        ...


def perform(
    wanted: Sequence[Run],
    perform_one: Callable[[Any], Record],
    cache: Path,
    jobs: int,
    code: str,
    words: Callable[[Record], str],
) -> None:
    """Do the runs that are not in the cache, and keep each as soon as it is done.

    Args:
        wanted: the runs.
        perform_one: returns what a run found; called in another process.
        cache: a folder.
        jobs: processes at a time.
        code: the digest of Luthier's code, "" to take what any code found.
        words: says of a record how it went.
    """
    todo = [run for run in wanted if kept(run, cache, code) is None]
    note(f"{len(todo)} of {len(wanted)} runs to do")
    begin = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        futures = {pool.submit(perform_one, run): run for run in todo}
        for done, future in enumerate(as_completed(futures), 1):
            run, record = futures[future], future.result()
            path = run.path(cache)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(record))
            partial.replace(path)
            said = record.get("error") or words(record)
            note(f"{done}/{len(todo)} {time.monotonic() - begin:.0f} s: {path.stem}: {said}")


def kept(run: Run, cache: Path, code: str) -> Record | None:
    """Return a run's kept record, if it is whole (or as far as it gets) and of the same code."""
    if not run.path(cache).exists():
        return None
    record = json.loads(run.path(cache).read_text())
    field, budget = run.budget
    same = record[field] == budget  # some plan ahead for that number
    if run.tuner.startswith(OWN) and code:
        same = same and record.get("source") == code
    return record if same and "error" not in record else None


def gathered(wanted: Sequence[Run], cache: Path, code: str) -> Runs:
    """Return all records, failed runs included; of Luthier's, only what this code found."""
    runs: Runs = {}
    for run in wanted:
        record = kept(run, cache, code)
        if record is None and run.path(cache).exists():
            failed = json.loads(run.path(cache).read_text())
            record = failed if "error" in failed else None
        if record is not None:
            runs.setdefault(run.task, {}).setdefault(run.tuner, {})[run.seed] = record
    return runs
