"""The default scheduler: with checkpoints, without, and where there is nothing to save."""

from __future__ import annotations

import itertools

import pytest
from driving import UNIT, run, save, simulate, study_of
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import simulate as simulated
from luthier.run.worker import work
from luthier.schedule import ASHA, Auto
from luthier.search import Grid
from luthier.space import Choice, Space
from luthier.study.log import read_log
from luthier.study.records import TrialState
from luthier.study.replay import replay
from luthier.study.trial import Trial


def loss(c, step):
    return c["x"] + 1 / step


def bare(trial):
    """Train without a checkpoint."""
    for epoch in trial.epochs():
        trial.report(loss=loss(trial.configuration, epoch + 1))


def replayed(study):
    return replay(read_log(study.store, study.name), *made_parts(study.history.header)).difference


def test_it_is_the_default_where_the_length_of_a_training_is_known(tmp_path):
    def header(**options):
        name = f"s{len(options)}"
        path = tmp_path / "s.db"
        study = open_study(name, UNIT, minimize="loss", storage=path, max_trials=9, **options)
        return study.history.header.scheduler

    assert header() == {"name": "none", "epochs": None}
    assert header(epochs=9) == {"name": "auto", "epochs": 9}
    assert header(epochs=9, scheduler=None) == {"name": "none", "epochs": 9}


def test_with_checkpoints_the_first_trial_shows_it_and_the_rest_is_asha(tmp_path):
    study = study_of("auto", tmp_path, epochs=9, max_trials=20)

    def train(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            trial.report(loss=loss(trial.configuration, epoch + 1))

    work(study, train)
    (tmp_path / "plain").mkdir()
    plain = study_of(ASHA(9), tmp_path / "plain", max_trials=20)
    work(plain, train)
    assert [list(t.steps) for t in study.trials] == [list(t.steps) for t in plain.trials]
    assert "from checkpoints" in study.scheduler.explain(study.history, study.limits)
    assert replayed(study) == ""


def test_without_checkpoints_the_others_are_abandoned_at_rungs(tmp_path):
    study = study_of("auto", tmp_path, epochs=9, max_trials=20)
    work(study, bare)
    ends = {t.step for t in study.trials}
    assert ends <= {1, 3, 9}
    assert {t.state for t in study.trials} == {TrialState.COMPLETED, TrialState.STOPPED}
    assert study.history.epochs < 20 * 9 * 0.6
    assert "no checkpoints" in study.scheduler.explain(study.history, study.limits)
    assert replayed(study) == ""


def test_without_checkpoints_the_epochs_are_used_and_not_exceeded(tmp_path):
    study = study_of("auto", tmp_path, epochs=9, max_epochs=60)
    work(study, bare)
    assert study.history.epochs == 60
    cut = [t for t in study.trials if "60 epochs do not hold its next rung" in (t.why or "")]
    assert all(t.step in (1, 3) for t in cut)
    assert replayed(study) == ""


@pytest.mark.parametrize(("epochs", "trials"), [(2, 20), (9, 5)])
def test_where_there_is_nothing_to_save_all_train_to_their_end(tmp_path, epochs, trials):
    study = study_of("auto", tmp_path, epochs=epochs, max_trials=trials)
    work(study, bare)
    assert [t.step for t in study.trials] == [epochs] * trials
    assert "to its end" in study.scheduler.explain(study.history, study.limits)


def test_a_small_grid_trains_to_its_end(tmp_path):
    study = study_of("auto", tmp_path, epochs=9, searcher=Grid(count=3))
    work(study, bare)
    assert [t.step for t in study.trials] == [9] * 3


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("writes", [True, False])
def test_a_space_of_a_few_configurations_trains_to_its_end(tmp_path, workers, writes):
    few = Space(a=Choice(1, 2, 3))
    study = open_study(
        "s", few, minimize="loss", searcher="random", epochs=9, max_trials=20,
        storage=tmp_path / "s.db",
    )  # fmt: skip
    if writes:
        done = simulated(
            lambda c, step: c["a"] + 1 / step, few, minimize="loss", searcher="random",
            epochs=9, max_trials=20, workers=workers,
        )  # fmt: skip
        study = done.study
    else:
        held = [Trial(study, study.next_job()) for _ in range(workers)]
        for epoch in range(9):
            for trial in held:
                assert not trial.should_stop
                trial.report(loss=trial.number + 1 / (epoch + 1))
        work(study, lambda trial: [trial.report(loss=trial["a"]) for _ in trial.epochs()])
    assert [t.step for t in study.trials] == [9] * 3
    assert "3 trials leave nothing to save" in study.scheduler.explain(study.history, study.limits)
    assert replayed(study) == ""


@pytest.mark.parametrize(("most", "ends"), [(4, {9}), (20, {1, 3, 9})])
def test_who_waits_at_a_rung_goes_on_when_there_are_to_be_few(tmp_path, most, ends):
    """Three had begun, and paused, when the limit was lowered: with so few, none is left behind."""
    study, calls = study_of("auto", tmp_path, epochs=9, max_trials=20), itertools.count(1)

    def called(c, step):
        if next(calls) == 3:
            study.steer.budget(trials=most)
        return loss(c, step)

    study_with_checkpoints(study, called)
    assert len(study.trials) == most
    assert {t.step for t in study.trials} == ends
    assert replayed(study) == ""


def study_with_checkpoints(study, loss):
    def train(trial):
        for epoch in trial.epochs(save=save, restore=save):
            trial.report(loss=loss(trial.configuration, epoch + 1))

    work(study, train)


def test_sparse_checkpoints_pause_where_there_is_one(tmp_path):
    """``every=1000``: a checkpoint only at the end of a job, so the first trial never pauses."""
    study = study_of("auto", tmp_path, epochs=9, max_trials=12)
    trace = run(study, loss)
    assert trace[0] == (0, 0, 9)
    assert (1, 0, 1) in trace
    assert len(study.trials) == 12
    assert not study.history.paused


@pytest.mark.parametrize("workers", [2, 5])
def test_no_epoch_is_trained_twice_and_nothing_is_stuck(tmp_path, workers):
    study = study_of("auto", tmp_path, epochs=27, max_trials=30)
    simulate(study, workers, loss)
    assert study.history.epochs == sum(t.step for t in study.trials)
    assert not study.history.paused
    assert not study.history.active


@settings(max_examples=20, deadline=None)
@given(
    epochs=st.integers(1, 30),
    budget=st.integers(1, 200),
    workers=st.integers(1, 6),
    failures=st.sampled_from([0.0, 0.2]),
)
def test_limits_hold_whatever_happens(epochs, budget, workers, failures):
    done = simulated(
        loss, UNIT, minimize="loss", searcher="random", epochs=epochs, max_epochs=budget,
        max_trials=40, workers=workers, failures=failures,
    )  # fmt: skip
    study = done.study
    assert study.history.header.scheduler["name"] == "auto"
    assert sum(t.step for t in study.trials) <= budget
    assert not done.stuck
    assert replayed(study) == ""


def test_a_lower_limit_ends_what_is_paused(tmp_path):
    study = study_of("auto", tmp_path, epochs=9, max_trials=20)

    def train(trial):
        for epoch in trial.epochs(save=lambda folder: None, restore=lambda folder: None):
            if trial.number == 7:
                study.steer.budget(trials=4)
            trial.report(loss=loss(trial.configuration, epoch + 1))

    work(study, train)
    assert len(study.trials) == 8
    assert all(t.state.ended for t in study.trials)


def test_it_is_made_again_from_the_log(tmp_path):
    study = study_of("auto", tmp_path, epochs=9, max_trials=9)
    assert made_parts(study.history.header)[1].inner == Auto(9)


def test_without_checkpoints_reports_that_skip_a_rung_are_compared_when_they_have_passed_it(
    tmp_path,
):
    study = study_of("auto", tmp_path, epochs=27, max_trials=30)

    def train(trial):
        for step in (2, 4, 10, 27):
            if trial.should_stop:
                return
            trial.report(loss=loss(trial.configuration, step), step=step)

    work(study, train)
    steps = [t.step for t in study.trials]
    assert set(steps) <= {2, 4, 10, 27}
    assert steps.count(2) >= 10
    assert replayed(study) == ""
