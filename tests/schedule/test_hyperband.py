"""Hyperband and successive halving against the paper, and their properties."""

from __future__ import annotations

import math

import pytest
from driving import run, simulate, study_of
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.errors import StudyError
from luthier.schedule import Hyperband, SuccessiveHalving
from luthier.study.protocols import Limits
from luthier.study.records import TrialState

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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hyperband(0), "epochs.*got 0"),
        (lambda: Hyperband(9, factor=1), "factor must be 2 or more.*got 1"),
        (lambda: Hyperband(9, iterations=0), "iterations.*got 0"),
        (lambda: SuccessiveHalving(9, trials=0), "trials.*got 0"),
        (lambda: SuccessiveHalving(9, minimum=10), "minimum.*between 1 and epochs=9.*10"),
    ],
)
def test_wrong_settings_name_the_value(make, words):
    with pytest.raises(StudyError, match=words):
        make()
