"""What schedulers keep in tables is a function of the history: made anew it is the same."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
from driving import simulate as drive
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import heavy_tailed, simulate
from luthier.schedule import SCHEDULERS
from luthier.schedule.curves import ByStep, running_average
from luthier.space import Float, Space
from luthier.study.history import History
from luthier.study.log import read_log
from luthier.study.protocols import Limits
from luthier.study.records import TrialRecord, TrialState
from luthier.study.replay import replay

UNIT = Space(x=Float(0.0, 1.0))


def bumpy(configuration, step):
    draw = random.Random(f"{configuration['x']} {step}")
    if draw.random() < 0.01:
        return float("nan")
    return configuration["x"] + 2 / step + 0.2 * draw.random()


@pytest.mark.parametrize(
    "scheduler", [name for name in SCHEDULERS if name not in ("none", "replay")]
)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), workers=st.integers(1, 12))
def test_a_fresh_process_decides_the_same(scheduler, seed, workers):
    done = simulate(
        bumpy, UNIT, minimize="loss", workers=workers, scheduler=scheduler,
        searcher=getattr(SCHEDULERS[scheduler], "searcher", "random"),
        epochs=9, max_trials=15, epoch_seconds=heavy_tailed(10.0), failures=0.1, seed=seed,
    )  # fmt: skip
    study = done.study
    log = list(read_log(study.store, study.name))
    limits, rule = study.limits, study.scheduler
    kept = History()
    for number, event in log:
        kept.apply(number, event)
        moves = rule.next(kept, limits), rule.dropped(kept, limits)
        verdicts = [rule.judge(kept, t) for t in kept.active.values() if t.steps]
        if number % 7 == 0:
            fresh = History()
            for at, again in log[:number]:
                fresh.apply(at, again)
            assert (rule.next(fresh, limits), rule.dropped(fresh, limits)) == moves
            assert [rule.judge(fresh, t) for t in fresh.active.values() if t.steps] == verdicts


CHANGES = ("lower trials", "lower epochs", "raise", "prune")


@pytest.mark.parametrize(
    "scheduler", [name for name in SCHEDULERS if name not in ("none", "replay")]
)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1000),
    workers=st.integers(1, 6),
    changes=st.dictionaries(st.integers(1, 70), st.sampled_from(CHANGES), max_size=5),
)
def test_it_does_when_limits_change_and_trials_are_pruned(scheduler, seed, workers, changes):
    """And nothing is left over that a study with other limits would not go on with."""
    study = open_study(
        "s", UNIT, minimize="loss", scheduler=scheduler, epochs=9, max_trials=15, max_epochs=120,
        searcher=getattr(SCHEDULERS[scheduler], "searcher", "random"), storage="memory", seed=seed,
    )  # fmt: skip
    reports = itertools.count(1)

    def loss(configuration, step):
        what = changes.get(next(reports))
        if what == "prune":
            for trial in [t for t in study.trials if not t.state.ended][:1]:
                study.steer.prune(trial.number)
        elif what is not None:
            trials = 5 if what == "lower trials" else 15
            epochs = {"lower epochs": 40, "raise": 150}.get(what, 120)
            study.steer.budget(trials=trials, epochs=epochs)
        return bumpy(configuration, step)

    drive(study, workers, loss)
    assert not study.history.active
    rule, kept = study.scheduler, History()
    log = list(read_log(study.store, study.name))
    assert replay(log, *made_parts(study.history.header)).difference == ""
    for number, event in log:
        kept.apply(number, event)
        limits = kept.limits
        if kept.budgeted:
            moves = rule.next(kept, limits), rule.dropped(kept, limits)
            if number % 5 == 0 or number == len(log):
                fresh = History()
                for at, again in log[:number]:
                    fresh.apply(at, again)
                assert (rule.next(fresh, limits), rule.dropped(fresh, limits)) == moves


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5)), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), max_size=5),
)
def test_averages_of_all_that_came_so_far(reports, losses_of_memory):
    """Trials report in turn, and some go back to a checkpoint; the table is what a loop finds."""
    trials = [TrialRecord(n, {}, 0, TrialState.RUNNING, 0.0) for n in range(5)]
    table = ByStep(running_average)
    for trial in trials:
        table.take(trial)
    for at, (number, loss) in enumerate(reports):
        trial = trials[number]
        trial.add(trial.step + 1, loss, {}, 0.0)
        table.take(trial)
        for moment, back in losses_of_memory:
            if moment == at:
                trials[back].forget_after(trials[back].step // 2)
                table.take(trials[back])
        if trial.steps:
            step = trial.step
            others = table.others(trial, step)
            expected = sorted(
                statistics.fmean(t.losses[:step])
                for t in trials
                if t is not trial and t.step >= step
            )
            found = [others[rank] for rank in range(len(others))]
            assert found == pytest.approx(expected)
            if expected:
                assert others.quantile(0.5) == pytest.approx(statistics.median(expected))


def test_plans_that_are_open_end_with_the_limit():
    for name, kind in SCHEDULERS.items():
        if name == "replay":  # needs a schedule to replay
            continue
        plan = kind(epochs=9).plan(Limits(trials=5))
        assert plan is not None, name
        assert plan.trials <= 5
