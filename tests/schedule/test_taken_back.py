"""A trial loses reports and has others at the same steps by the time that a table takes it in again."""

from __future__ import annotations

import random

import pytest

from luthier.run.simulation import simulate
from luthier.schedule import SCHEDULERS
from luthier.space import Float, Space
from luthier.study import events as ev
from luthier.study.history import fold
from luthier.study.log import read_log
from luthier.study.records import TrialState

UNIT = Space(x=Float(0.0, 1.0))
HOLDER = ev.Holder("another", "", "", 0, "", 0)
COMPARING = [name for name in SCHEDULERS if name not in ("none", "replay", "bohb")]


def bumpy(configuration, step):
    draw = random.Random(f"{configuration['x']} {step}")
    return configuration["x"] + 2 / step + 0.2 * draw.random()


def trained_again(history, trial):
    """Return the events by which another worker trains *trial* again, to other losses, as far as it was."""
    at, number, lease = history.last_time, trial.number, history.last_lease + 1
    found = [
        ev.JobLeased(
            time=at, trial=number, lease=lease, holder=HOLDER, from_step=trial.start,
            to_step=trial.to_step, term=0.0,
        )
    ]  # fmt: skip
    found += [
        ev.Reported(
            time=at, trial=number, lease=lease, step=step, metrics={"loss": 4 - loss}, seconds=1.0
        )
        for step, loss in zip(trial.steps, trial.losses, strict=True)
    ]
    if trial.state is TrialState.PAUSED:
        found.append(ev.TrialPaused(time=at, trial=number, lease=lease, step=trial.step))
    return found


@pytest.mark.parametrize("scheduler", COMPARING)
def test_what_follows_is_what_a_fresh_process_finds(scheduler):
    study = simulate(
        bumpy, UNIT, minimize="loss", workers=4, scheduler=scheduler, epochs=9, max_trials=20,
        searcher=getattr(SCHEDULERS[scheduler], "searcher", "random"),
    ).study  # fmt: skip
    rule, limits = study.scheduler, study.limits

    def decided(history):
        reported = [trial for trial in history.active.values() if trial.steps]
        verdicts = [rule.judge(history, trial) for trial in reported]
        return rule.next(history, limits), rule.dropped(history, limits), verdicts

    log, tried, differ = list(read_log(study.store, study.name)), 0, 0
    for cut in range(20, len(log), 9):
        kept = fold(log[:cut])
        before = decided(kept)
        again = []
        for trial in [*kept.active.values(), *kept.paused.values()]:
            for event in trained_again(kept, trial) if trial.steps and trial.number % 2 else ():
                again.append(event)
                kept.apply(cut + len(again), event)
        fresh = fold([*log[:cut], *enumerate(again, cut + 1)])
        after = decided(kept)
        assert after == decided(fresh)
        tried += bool(again)
        differ += after != before
    assert tried > 5
    assert differ
