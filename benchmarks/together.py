"""Processes that begin to work at the same moment, for benchmarks."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Finished(NamedTuple):
    """What one process did between *begin* and *end*, on the machine's monotonic clock."""

    begin: float
    end: float
    answers: list[Any]
    errors: list[str]
    before: int  # answers from before the beginning


def together(
    opener: Callable[..., Callable[[], Any]], given: tuple[Any, ...], times: int, processes: int
) -> list[Finished]:
    """Have processes do the work that ``opener(*given)`` returns, *times* times each, all at once."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    crew = [
        context.Process(target=member, args=(opener, given, times, barrier, results))
        for _ in range(processes)
    ]
    for process in crew:
        process.start()
    done: list[Finished] = []
    while len(done) < processes:
        with contextlib.suppress(queue.Empty):
            done.append(results.get(timeout=1.0))
        if any(process.exitcode for process in crew):
            raise RuntimeError("A process of the benchmark died; see above.")
    for process in crew:
        process.join()
    return done


def member(
    opener: Callable[..., Any], given: tuple[Any, ...], times: int, barrier, results
) -> None:
    """Be one of the processes; what the work raises is counted, and the work goes on."""
    answers, errors = [], []
    work = opener(*given)
    with contextlib.suppress(Exception):
        answers.append(work())  # what only the first time takes is nobody's throughput
    barrier.wait(300)
    before, begin = len(answers), time.monotonic()
    for _ in range(times):
        try:
            answers.append(work())
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:300])
    results.put(Finished(begin, time.monotonic(), answers, errors, before))


def per_second(done: list[Finished]) -> float:
    worked = sum(len(one.answers) - one.before for one in done)
    return worked / (max(one.end for one in done) - min(one.begin for one in done))
