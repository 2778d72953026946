"""Hyperband and successive halving against the paper, and their properties."""

from __future__ import annotations

import itertools
import math

import pytest
from driving import run, save, simulate, study_of
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import StudyError
from luthier.run.simulation import simulate as simulated
from luthier.run.worker import run_job, work
from luthier.schedule import BOHB, DEHB, SCHEDULERS, Hyperband, SuccessiveHalving
from luthier.space import Choice, Space
from luthier.study.deciding import Job
from luthier.study.protocols import Limits
from luthier.study.records import TrialState
from luthier.study.trial import Trial

# Li et al. 2018, Table 1 (R = 81, η = 3): bracket s -> [(n_i, r_i), ...]
TABLE_1 = {
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(34, 3), (11, 9), (3, 27), (1, 81)],
    2: [(15, 9), (5, 27), (1, 81)],
    1: [(8, 27), (2, 81)],
    0: [(5, 81)],
}


def rungs(scheduler):
    return {
        b.name: [(r.trials, r.step) for r in b.rungs] for b in scheduler.plan(Limits()).brackets
    }


def test_plan_is_table_1_of_the_paper():
    assert rungs(Hyperband(81)) == {f"s={s}": ladder for s, ladder in TABLE_1.items()}


def test_epochs_of_the_plan_count_only_new_ones():
    # Bracket s=4: 81*1 + 27*2 + 9*6 + 3*18 + 1*54
    assert Hyperband(81).plan(Limits()).brackets[0].epochs == 81 + 54 + 54 + 54 + 54


def test_factor_2_carries_the_top_half_forward():
    assert rungs(Hyperband(8, factor=2)) == {
        "s=3": [(8, 1), (4, 2), (2, 4), (1, 8)],
        "s=2": [(6, 2), (3, 4), (1, 8)],
        "s=1": [(4, 4), (2, 8)],
        "s=0": [(4, 8)],
    }


def test_golden_trace_r81(tmp_path):
    """The whole of Algorithm 1 through a real study: who trains from where to where, in order."""
    study = study_of(Hyperband(81), tmp_path)
    trace = run(study, lambda c, step: c["x"])  # the order never changes: promotions are known
    x = [t.configuration["x"] for t in study.trials]
    expected, first = [], 0
    for ladder in TABLE_1.values():
        members = list(range(first, first + ladder[0][0]))
        first += ladder[0][0]
        before = 0
        for i, (count, step) in enumerate(ladder):
            if i:
                members = sorted(members, key=lambda t: x[t])[:count]
            assert len(members) == count
            expected += [(t, before, step) for t in members]
            before = step
    assert trace == expected
    assert len(study.trials) == 143
    assert study.history.epochs == study.scheduler.plan(Limits()).epochs
    states = study.history.counts()
    assert set(states) == {TrialState.COMPLETED, TrialState.STOPPED}
    assert states[TrialState.COMPLETED] == 1 + 1 + 1 + 2 + 5


def test_no_epoch_is_trained_twice(tmp_path):
    seen: set[tuple[float, int]] = set()

    def loss(configuration, step):
        assert (configuration["x"], step) not in seen
        seen.add((configuration["x"], step))
        return configuration["x"]

    run(study_of(Hyperband(27), tmp_path), loss)
    assert len(seen) == Hyperband(27).plan(Limits()).epochs


def test_diverged_trials_rank_last_and_never_go_on(tmp_path):
    study = study_of(Hyperband(9), tmp_path)
    run(study, lambda c, step: math.nan if c["x"] > 0.3 else c["x"])
    diverged = [t for t in study.trials if t.state is TrialState.DIVERGED]
    assert {t.number for t in diverged} == {
        t.number for t in study.trials if t.configuration["x"] > 0.3
    }
    assert all(t.step in (1, 3, 9) for t in diverged)
    assert all(t not in study.history.ranking() for t in diverged)
    assert study.best.configuration["x"] <= 0.3


def test_everything_diverged_ends_the_study_without_an_error(tmp_path):
    study = study_of(Hyperband(9), tmp_path)
    run(study, lambda c, step: math.inf)
    assert study.history.counts() == {TrialState.DIVERGED: 9 + 5 + 3}
    with pytest.raises(StudyError, match="finite"):
        _ = study.best


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_same_configurations_with_any_number_of_workers(tmp_path, workers):
    def promoted(study):
        return sorted((t.number, t.step, t.state) for t in study.trials)

    def loss(c, step):
        return abs(c["x"] - 0.3) + 1 / step

    alone = study_of(Hyperband(9), tmp_path, seed=0, searcher="random")
    run(alone, loss)
    (tmp_path / "many").mkdir()
    many = study_of(Hyperband(9), tmp_path / "many", seed=0, searcher="random")
    simulate(many, workers, loss)
    assert [t.configuration for t in many.trials] == [t.configuration for t in alone.trials]
    assert promoted(many) == promoted(alone)


@given(
    epochs=st.integers(1, 200),
    factor=st.integers(2, 5),
    trials=st.none() | st.integers(1, 60),
    total=st.none() | st.integers(1, 2000),
)
def test_plans_stay_within_the_limits(epochs, factor, trials, total):
    plan = Hyperband(epochs, factor).plan(Limits(trials, total))
    assert trials is None or plan.trials <= trials
    assert total is None or plan.epochs <= total
    for bracket in plan.brackets:
        steps = [r.step for r in bracket.rungs]
        counts = [r.trials for r in bracket.rungs]
        assert steps == sorted(set(steps))
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] >= 1
        assert steps[-1] <= epochs
    if trials is None and total is None:
        assert all(b.rungs[-1].step == epochs for b in plan.brackets)


@settings(max_examples=25, deadline=None)
@given(
    epochs=st.integers(1, 12),
    factor=st.integers(2, 4),
    trials=st.none() | st.integers(1, 12),
    total=st.none() | st.integers(1, 80),
    workers=st.integers(1, 5),
    bad=st.floats(0, 1),
)
def test_every_study_ends_as_planned(tmp_path_factory, epochs, factor, trials, total, workers, bad):
    path = tmp_path_factory.mktemp("s")
    study = study_of(Hyperband(epochs, factor), path, max_trials=trials, max_epochs=total)
    simulate(study, workers, lambda c, step: math.nan if c["x"] < bad else c["x"] / step)
    plan = study.scheduler.plan(study.limits)
    assert len(study.trials) == plan.trials
    assert study.history.epochs <= plan.epochs
    if bad == 0:
        assert study.history.epochs == plan.epochs


def test_limits_can_be_raised_later(tmp_path):
    run(study_of(Hyperband(9), tmp_path, max_trials=4), lambda c, step: c["x"])
    study = study_of(Hyperband(9), tmp_path)
    run(study, lambda c, step: c["x"])
    assert len(study.trials) == 17


def test_successive_halving_halves(tmp_path):
    study = study_of(SuccessiveHalving(8, factor=2), tmp_path)
    trace = run(study, lambda c, step: c["x"])
    assert len(study.trials) == 8
    assert [to for _, _, to in trace] == [1] * 8 + [2] * 4 + [4] * 2 + [8]


def test_minimum_raises_the_first_rung():
    assert rungs(SuccessiveHalving(81, minimum=9)) == {"s=2": [(9, 9), (3, 27), (1, 81)]}
    first = {"s=2": [(9, 9), (3, 27), (1, 81)], "s=1": [(5, 27), (1, 81)], "s=0": [(3, 81)]}
    assert rungs(Hyperband(81, minimum=9)) == first
    assert rungs(BOHB(81, minimum=10)) == {"s=1": [(3, 27), (1, 81)], "s=0": [(2, 81)]}
    assert rungs(DEHB(81, minimum=9)) == first


def within(scheduler, **limits):
    (bracket,) = scheduler.plan(Limits(**limits)).brackets
    return [(rung.trials, rung.step) for rung in bracket.rungs]


def test_successive_halving_begins_as_many_as_the_limits_hold(tmp_path):
    rule = SuccessiveHalving(9)
    assert within(rule, trials=100) == [(100, 1), (33, 3), (11, 9)]
    assert within(rule, epochs=1000) == [(431, 1), (143, 3), (47, 9)]  # 999 epochs
    assert within(rule, trials=100, epochs=1000) == [(100, 1), (33, 3), (11, 9)]
    assert within(rule, trials=100, epochs=45) == [(20, 1), (6, 3), (2, 9)]
    assert not rule.plan(Limits(epochs=0)).brackets
    study = study_of(rule, tmp_path, max_epochs=45)
    run(study, lambda c, step: c["x"])
    assert sorted(t.step for t in study.trials) == [1] * 14 + [3] * 4 + [9] * 2


def test_few_trials_of_successive_halving_climb_a_ladder_that_ends_at_its_epochs(tmp_path):
    assert within(SuccessiveHalving(81, trials=10)) == [(10, 9), (3, 27), (1, 81)]
    assert within(SuccessiveHalving(81, trials=2)) == [(2, 81)]
    # The limits of a study may come and go: they cut the ladder that there is.
    assert within(SuccessiveHalving(81), trials=10) == [(10, 1), (3, 3), (1, 9)]
    study = study_of(SuccessiveHalving(9, trials=4), tmp_path)
    run(study, lambda c, step: c["x"])
    assert sorted(t.step for t in study.trials) == [3, 3, 3, 9]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hyperband(0), "epochs.*got 0"),
        (lambda: Hyperband(9, factor=1), "factor must be a .*number of at least 2, got 1"),
        (lambda: Hyperband(9, iterations=0), "iterations.*got 0"),
        (lambda: SuccessiveHalving(9, trials=0), "trials.*got 0"),
        (lambda: SuccessiveHalving(9, minimum=10), "minimum.*between 1 and epochs=9.*10"),
    ],
)
def test_wrong_settings_name_the_value(make, words):
    with pytest.raises(StudyError, match=words):
        make()


# -- limits that change, and trials that are stopped --------------------------------------------------


def falling(c, step):
    return c["x"] + 1 / step


def steered(study, at, loss=falling, **budget):
    """Return *loss*, after whose call number *at* the study has another budget."""
    calls = itertools.count(1)

    def called(c, step):
        if next(calls) == at:
            study.steer.budget(**budget)
        return loss(c, step)

    return called


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("at", [3, 9, 14, 20, 40, 60])
def test_lower_limits_leave_nobody_paused(tmp_path, at, workers):
    study = study_of(Hyperband(27), tmp_path, max_trials=50)
    simulate(study, workers, steered(study, at, trials=6))
    assert all(t.state.ended for t in study.trials)
    assert len(study.trials) <= max(6, at + workers)
    said = {t.why for t in study.trials if "limits were lowered since" in t.why}
    assert said or len(study.history.brackets) == 1


def test_who_came_after_a_rung_was_decided_among_fewer_is_ranked_too(tmp_path):
    study = study_of(SuccessiveHalving(9), tmp_path)  # of 9 trials
    simulate(study, 1, steered(study, 8, trials=4))
    best = sorted(study.trials, key=lambda t: t.losses[0])
    assert len(study.trials) == 8
    assert {t.number for t in study.trials if t.step > 1} == {best[0].number}
    assert best[1].why == "rank 2 of 8 at epoch 1, 1 go on"


@pytest.mark.parametrize("workers", [1, 3])
def test_epochs_that_were_lowered_are_not_exceeded(tmp_path, workers):
    study = study_of(Hyperband(27), tmp_path, max_epochs=300)
    simulate(study, workers, steered(study, 30, epochs=80))
    assert study.history.epochs <= 80
    assert all(t.state.ended for t in study.trials)
    study.steer.budget(epochs=300)
    simulate(study, workers, falling)
    assert 200 < study.history.epochs <= 300
    assert max(t.step for t in study.trials) == 27


def test_epochs_that_were_trained_again_are_not_trained_on_top(tmp_path):
    study, lost = study_of(SuccessiveHalving(9, 9), tmp_path, max_epochs=9 + 6 + 6), False

    def train(trial):
        for epoch in trial.epochs(save=save, restore=save, every=1000):
            trial.report(loss=falling(trial.configuration, epoch + 1))

    while isinstance(job := study.next_job(), Job):
        if (
            job.from_step == 1 and not lost
        ):  # its worker dies after an epoch that no checkpoint holds
            trial, lost = Trial(study, job), True
            epochs = trial.epochs(save=save, restore=save, every=1000)
            next(epochs)
            trial.report(loss=falling(trial.configuration, 2))
            next(epochs)
            trial.closed = True
            study.release_held([study.trials[job.trial]], "killed", kind="lost")
            continue
        run_job(study, job, train)
    assert job.reason == "21 epochs do not hold what is left of the brackets"
    assert study.history.epochs == 9 + 6 + 1
    (waiting,) = study.history.paused
    study.steer.budget(epochs=22)
    work(study, train)
    assert study.trials[waiting].step == 9
    assert study.history.epochs == 22


def test_a_trial_pruned_before_its_rung_is_decided_takes_no_place_above(tmp_path):
    study = study_of(SuccessiveHalving(9), tmp_path)

    def loss(c, step):
        if len(study.trials) == 9:
            first = min((t for t in study.trials if t.losses), key=lambda t: t.losses[0])
            if first.state is TrialState.PAUSED and first.step == 1:
                study.steer.prune(first.number)
        return falling(c, step)

    simulate(study, 1, loss)
    pruned = [t for t in study.trials if t.why == "pruned by hand"]
    assert len(pruned) == 1
    assert pruned[0].losses[0] == min(t.losses[0] for t in study.trials)
    assert sorted(t.step for t in study.trials) == [1] * 6 + [3] * 2 + [9]


def test_who_was_stopped_for_want_of_room_takes_no_place_when_there_is_more(tmp_path):
    simulate(study_of(SuccessiveHalving(9), tmp_path, max_trials=4), 1, lambda c, step: -1.0 / step)
    study = study_of(SuccessiveHalving(9), tmp_path, max_trials=9)
    assert [t.step for t in study.trials] == [3, 1, 1, 1]
    simulate(study, 1, lambda c, step: 1.0 / step)  # worse than those that were stopped
    assert sorted(t.step for t in study.trials[4:]) == [1, 1, 1, 3, 9]


@pytest.mark.parametrize("scheduler", ["successive halving", "hyperband", "bohb", "dehb"])
def test_in_a_space_of_a_few_configurations_the_plan_is_carried_out(scheduler):
    """Each promises places to so many trials: to end when all configurations were tried leaves some empty."""
    rule = SCHEDULERS[scheduler]
    done = simulated(
        lambda c, step: c["a"] + 1 / step, Space(a=Choice(1, 2, 3)), minimize="loss", epochs=9,
        scheduler=scheduler, searcher=getattr(rule, "searcher", "random"), workers=2,
    )  # fmt: skip
    plan = rule(9).plan(Limits())
    assert len(done.study.trials) == plan.trials
    assert done.study.history.epochs == plan.epochs
