"""Writes a study of many trials as 8 workers would have, through the real events."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from overhead import SPACE

import luthier
from luthier.study import events as ev
from luthier.study.history import History
from luthier.study.log import read_log
from luthier.study.snapshot import keep_snapshot_if_due

PROCESSES = 8
LONG_REPORTS = 10
STUDY = "throughput"


def write_long_study(path: Path, trials: int) -> tuple[int, int]:
    """Write it as 8 workers would have; return its events and how many its snapshot holds."""
    store = luthier.open(STUDY, SPACE, minimize="loss", searcher="random", storage=path).store
    history = History()
    for number, event in read_log(store, STUDY):
        history.apply(number, event)
    events = long_study(trials)
    while batch := list(itertools.islice(events, 5_000)):
        store.append(STUDY, [ev.encode(event) for event in batch], expect=history.cursor)
        for event in batch:
            history.apply(history.cursor + 1, event)
        keep_snapshot_if_due(store, STUDY, history, len(batch))
    kept = store.snapshot(STUDY)
    store.compact()
    store.close()
    return history.cursor, kept[0] if kept else 0


def long_study(trials: int) -> Iterator[ev.AnyEvent]:
    """Yield what 8 workers write, one epoch each in turn."""
    lives = (one_trial(number) for number in range(trials))
    workers = [life for _, life in zip(range(PROCESSES), lives, strict=False)]
    now = 1.8e9
    while workers:
        for place, life in enumerate(workers):
            now += 0.8
            if (events := next(life, None)) is None:
                if (following := next(lives, None)) is None:
                    del workers[place]
                    break
                workers[place] = following
                events = next(following)
            for event in events:
                yield event(now)


def one_trial(number: int) -> Iterator[list[Callable[[float], ev.AnyEvent]]]:
    """Yield what a trial's worker appends, epoch by epoch; every other trial renews its lease once."""
    lease = number + 1
    holder = ev.Holder("node", "6f1c", "4026531836", 1000 + number % PROCESSES, "81234", 1)
    about: dict[str, Any] = {"trial": number, "lease": lease}
    configuration = SPACE.sample(lambda key: random.random())
    yield [
        lambda now: ev.TrialProposed(
            time=now, trial=number, configuration=configuration, seen=max(1, 13 * (number - 8))
        ),
        lambda now: ev.JobLeased(
            time=now, **about, holder=holder, from_step=0, to_step=None, term=60.0
        ),
    ]
    for step in range(1, LONG_REPORTS + 1):
        events: list[Callable[[float], ev.AnyEvent]] = [
            lambda now, step=step: report_event(number, lease, step, now)
        ]
        if step == 5 and number % 2:
            events.insert(0, lambda now: ev.LeaseRenewed(time=now, **about))
        yield events
    yield [lambda now: ev.TrialCompleted(time=now, **about, step=LONG_REPORTS)]


def report_event(trial: int, lease: int, step: int, now: float) -> ev.Reported:
    metrics = {"loss": random.random(), "accuracy": random.random()}
    return ev.Reported(time=now, trial=trial, lease=lease, step=step, metrics=metrics, seconds=1.5)
