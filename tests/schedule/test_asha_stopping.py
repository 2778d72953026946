"""ASHA without pauses against its rule: Li et al. 2020, section 3.3, as Syne Tune's type "stopping" has it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driving import UNIT, save, simulate, study_of

from luthier.run.simulation import heavy_tailed
from luthier.run.simulation import simulate as simulated
from luthier.schedule import ASHA, MedianStopping
from luthier.study import events as ev
from luthier.study.log import read_log
from luthier.study.protocols import Fate
from luthier.study.records import TrialState


def goes_on(rung, loss, factor):
    """Return whether *loss*, which arrives at a rung, is in the top 1/η of all that came, itself too."""
    rung.append(loss)
    return loss <= np.quantile(rung, 1 / factor) + 1e-12


def curve(x, step):  # orders change on the way
    return x + math.sin(40 * x) / step


@pytest.mark.parametrize(("epochs", "factor", "ends"), [(27, 3, (1, 3, 9)), (16, 2, (1, 2, 4, 8))])
def test_one_worker_follows_the_rule(tmp_path, epochs, factor, ends):
    study = study_of(ASHA(epochs, factor, stops=True), tmp_path, max_trials=40)
    trace = simulate(study, 1, lambda c, step: curve(c["x"], step))
    assert trace == [(number, 0, epochs) for number in range(40)]
    rungs, expected = {end: [] for end in ends}, []
    for trial in study.trials:
        x = trial.configuration["x"]
        stopped = (e for e in ends if not goes_on(rungs[e], curve(x, e), factor))
        expected.append(next(stopped, epochs))
    assert [t.step for t in study.trials] == expected
    assert set(expected) == {*ends, epochs}


def test_many_workers_follow_it_in_the_order_in_which_they_report():
    ends = (1, 3, 9)
    study = simulated(
        lambda c, step: curve(c["x"], step), UNIT, minimize="loss", workers=20, searcher="random",
        scheduler=ASHA(27, stops=True), max_trials=150, epoch_seconds=heavy_tailed(10.0),
    ).study  # fmt: skip
    rungs, expected, told = {end: [] for end in ends}, [], []
    for _, event in read_log(study.store, study.name):
        if isinstance(event, ev.TrialStopped):
            told.append((event.trial, event.step))
        if not isinstance(event, ev.Reported) or event.step not in rungs:
            continue
        if not goes_on(rungs[event.step], event.metrics["loss"], 3):
            expected.append((event.trial, event.step))
    assert told == expected
    assert len(rungs[1]) == 150
    assert {t.state for t in study.trials} == {TrialState.STOPPED, TrialState.COMPLETED}


@pytest.mark.parametrize("checkpoints", [True, False])
@pytest.mark.parametrize("rule", [ASHA(27, stops=True), MedianStopping(27, grace=0, minimum=1)])
def test_a_trial_that_was_told_to_go_on_does_when_it_is_taken_over(tmp_path, rule, checkpoints):
    """Others that reported since are no reason: which trials live would depend on when a worker is lost."""
    study = study_of(rule, tmp_path, max_trials=4)
    first, *others = study.ask(4)
    if checkpoints:
        epochs = first.epochs(save=save, restore=save)
        next(epochs)
        first.report(loss=1.0)
        next(epochs)
    else:
        first.report(loss=1.0)
    assert not first.should_stop
    study.release(first, "its machine goes down", "preempted")
    for trial, loss in zip(others, (0.1, 0.2, 0.3), strict=True):
        trial.report(loss=loss)
    late = study.scheduler.judge(study.history, study.trials[0])
    assert late.fate is Fate.STOP
    job = study.next_job()
    assert (job.trial, job.from_step) == (0, 1 if checkpoints else 0)
    assert study.trials[0].state is TrialState.RUNNING
