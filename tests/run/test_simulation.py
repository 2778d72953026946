"""The real study on a virtual clock: what happens in parallel, and what a log then proves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import Infeasible, StudyError
from luthier.run.opening import made_parts
from luthier.run.simulation import VirtualLeases, heavy_tailed, simulate
from luthier.schedule import SCHEDULERS
from luthier.space import Choice, Float, Int, Space
from luthier.study import events as ev
from luthier.study.history import fold
from luthier.study.log import read_log
from luthier.study.records import TrialState
from luthier.study.replay import replay
from luthier.study.snapshot import decode, encode

SPACE = Space(x=Float(0.0, 1.0), units=Int(8, 512, scale="log"))


def loss(configuration, step):
    return (configuration["x"] - 0.3) ** 2 + 1.0 / step


def replayed(study):
    return replay(read_log(study.store, study.name), *made_parts(study.history.header))


def test_a_thousand_workers_that_die_and_dawdle_lose_nothing():
    run = simulate(
        loss,
        SPACE,
        minimize="loss",
        workers=1000,
        searcher="random",
        scheduler=None,
        epochs=5,
        max_trials=3000,
        epoch_seconds=heavy_tailed(10.0),
        failures=0.05,
        cut_off=0.01,
    )
    trials = run.study.trials
    assert len(trials) == 3000
    assert not run.stuck
    assert all(list(t.steps) == [1, 2, 3, 4, 5] for t in trials)
    assert run.idle < 0.02
    assert run.deaths > 100
    assert run.cut_off > 10
    assert run.study.history.late_reports > 10
    assert replayed(run.study).difference == ""


@settings(max_examples=25, deadline=None)
@given(
    scheduler=st.sampled_from(
        [None, *(name for name in SCHEDULERS if name not in ("none", "replay"))]
    ),
    searcher=st.sampled_from(["random", "sobol"]),
    workers=st.integers(1, 30),
    failures=st.sampled_from([0.0, 0.1, 0.4]),
    cut_off=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
def test_whatever_happens_every_trial_ends_and_the_log_replays(
    scheduler, searcher, workers, failures, cut_off, seed
):
    run = simulate(
        loss,
        SPACE,
        minimize="loss",
        workers=workers,
        scheduler=scheduler,
        searcher=None if hasattr(SCHEDULERS[scheduler or "none"], "searcher") else searcher,
        epochs=9,
        max_trials=20,
        epoch_seconds=heavy_tailed(10.0),
        failures=failures,
        cut_off=cut_off,
        seed=seed,
    )
    study = run.study
    assert not run.stuck
    assert not study.history.active
    assert not study.history.paused
    for trial in study.trials:
        steps = list(trial.steps)
        # A copy of a member of a population goes on from its parent's epoch.
        assert steps == list(range(trial.start + 1, trial.start + len(steps) + 1))
    done = replayed(study)
    assert done.difference == ""
    assert done.events == study.history.cursor
    assert done.proposals == len(study.trials)
    again = fold(read_log(study.store, study.name))
    assert told(again) == told(study.history) == told(decode(encode(again)))


def told(history):
    """Everything that a history knows, as plain data."""
    return (
        history.cursor,
        history.epochs,
        history.late_reports,
        history.last_lease,
        history.ended,
        history.limits,
        history.widening,
        [(record.first, record.change) for record in history.changes],
        None if history.best is None else history.best.number,
        sorted(history.active),
        sorted(history.paused),
        [
            (
                t.number,
                t.configuration,
                t.state,
                t.lease,
                t.bracket,
                list(t.steps),
                list(t.losses),
                list(t.loss_sums),
                t.metrics,
                t.best_loss,
                t.best_step,
                t.why,
                t.kind,
                t.retries,
                t.to_step if not t.state.ended else None,
                t.checkpoint,
            )
            for t in history.trials
        ],
    )


def test_the_same_seed_gives_the_same_run():
    runs = [
        simulate(
            loss, SPACE, minimize="loss", workers=7, scheduler="hyperband", epochs=9, failures=0.2
        )
        for _ in range(2)
    ]
    assert told(runs[0].study.history) == told(runs[1].study.history)
    assert runs[0].seconds == runs[1].seconds


def test_the_number_of_workers_changes_no_configuration():
    one, many = (
        simulate(
            loss,
            SPACE,
            minimize="loss",
            workers=n,
            epochs=3,
            max_trials=20,
            searcher="random",
            scheduler=None,
        )
        for n in (1, 20)
    )
    assert [t.configuration for t in one.study.trials] == [
        t.configuration for t in many.study.trials
    ]
    assert one.seconds == pytest.approx(20 * many.seconds)


def test_a_trial_that_always_kills_its_worker_fails_in_the_end():
    run = simulate(loss, SPACE, minimize="loss", workers=2, epochs=1, max_trials=3, failures=1.0)
    assert [t.state for t in run.study.trials] == [TrialState.FAILED] * 3
    assert all("killed 3 times in a row" in t.why for t in run.study.trials)
    assert run.deaths == 9


def test_a_deadline_in_virtual_time():
    run = simulate(
        loss, SPACE, minimize="loss", workers=10, epochs=10, max_time="10m", epoch_seconds=7.0
    )
    assert 600 <= run.seconds <= 610
    given_back = [t for t in run.study.trials if t.state is TrialState.QUEUED]
    assert given_back
    assert not run.stuck
    assert run.study.history.epochs == pytest.approx(10 * 600 / 7, rel=0.02)


def test_bad_settings():
    settings = {"minimize": "loss", "workers": 2, "epochs": 2, "max_trials": 3}
    with pytest.raises(StudyError, match="Nothing would end a trial: give epochs="):
        simulate(loss, SPACE, **settings | {"epochs": None})
    with pytest.raises(StudyError, match=r"epoch_seconds must give 0 seconds or more, got -1\.0"):
        simulate(loss, SPACE, **settings, epoch_seconds=-1.0)
    with pytest.raises(StudyError, match="restart_seconds must be 0 or more"):
        simulate(loss, SPACE, **settings, restart_seconds=-1.0)
    with pytest.raises(StudyError, match="repetitions=5 is for a race of the best"):
        simulate(loss, SPACE, **settings, repetitions=5)
    with pytest.raises(StudyError, match="Nothing would end"):
        simulate(loss, SPACE, minimize="loss", workers=2)
    with pytest.raises(StudyError, match="workers must be"):
        simulate(loss, SPACE, minimize="loss", workers=0, max_trials=3)


def test_what_fails_a_trial_alone_does_not_end_the_run():
    def objective(configuration, step):
        if configuration["x"] > 0.6:
            raise Infeasible("too far out")
        if configuration["x"] < 0.2:
            raise MemoryError
        return loss(configuration, step)

    run = simulate(
        objective, SPACE, minimize="loss", workers=3, epochs=2, max_trials=30, searcher="random",
        scheduler=None,
    )  # fmt: skip
    kinds = {t.kind for t in run.study.trials}
    assert kinds == {"", "failed", "out of memory"}
    assert not run.stuck
    with pytest.raises(ZeroDivisionError):
        simulate(lambda c, s: 1 / 0, SPACE, minimize="loss", workers=3, epochs=2, max_trials=30)


def test_a_grid_ends_the_run():
    space = Space(units=Choice(8, 16, 32), layers=Choice(1, 2))
    run = simulate(
        lambda c, step: c["units"], space, minimize="loss", searcher="grid", epochs=1, workers=2
    )
    assert len(run.study.trials) == 6


def test_the_run_is_over_when_the_study_is_not_when_the_last_worker_is_back():
    run = simulate(
        loss, SPACE, minimize="loss", workers=20, epochs=3, max_trials=1000, searcher="random",
        failures=0.002, restart_seconds=1e6,
    )  # fmt: skip
    last = max(event.time for _, event in read_log(run.study.store, "simulation"))
    assert run.deaths
    assert run.seconds == pytest.approx(last - 1_000_000_000.0)
    assert run.seconds < 1e6


def test_only_workers_whose_job_was_taken_over_count_as_cut_off():
    settings = {"minimize": "loss", "epochs": 3, "max_trials": 3, "scheduler": None, "cut_off": 1.0}
    alone = simulate(loss, SPACE, **settings, workers=1)
    assert alone.cut_off == 0  # there was nobody to take anything over
    several = simulate(loss, SPACE, **settings, workers=4)
    assert several.cut_off == several.study.history.late_reports > 0


def test_a_run_that_is_stuck_ends_and_says_which_trials_are(monkeypatch):
    monkeypatch.setattr(VirtualLeases, "lapsed", lambda self, trial: False)
    run = simulate(loss, SPACE, minimize="loss", workers=3, epochs=2, max_trials=3, failures=1.0)
    assert [t.number for t in run.stuck] == [0, 1, 2]


@pytest.mark.parametrize("lost", [{"failures": 0.5}, {"cut_off": 0.3}])
def test_what_a_lost_worker_held_goes_on_when_its_lease_is_over_though_others_train_for_long(lost):
    """Idle workers looked at nobody's lease before somebody else acted: here an hour later."""

    def seconds(configuration, step, chance):
        return 5000.0 if configuration["x"] > 0.7 else 10.0

    run = simulate(
        loss, SPACE, minimize="loss", workers=30, searcher="random", scheduler=None, epochs=1,
        max_trials=12, epoch_seconds=seconds, restart_seconds=1e5, **lost,
    )  # fmt: skip
    begun = {}
    for _, event in read_log(run.study.store, "simulation"):
        if isinstance(event, ev.JobLeased):
            begun.setdefault(event.trial, []).append(event.time)
    quick = [t.number for t in run.study.trials if t.configuration["x"] <= 0.7]
    waits = [b - a for number in quick for a, b in pairwise(begun[number])]
    assert len(quick) < 12
    assert waits
    assert all(60.0 < wait <= 70.01 for wait in waits)


def test_what_the_dead_held_as_the_time_was_up_is_not_stuck():
    run = simulate(
        loss, SPACE, minimize="loss", workers=50, searcher="random", scheduler="asha", epochs=27,
        failures=0.2, max_time=100,
    )  # fmt: skip
    held = [t for t in run.study.history.active.values() if t.state is TrialState.RUNNING]
    assert run.deaths
    assert held
    assert not run.stuck
