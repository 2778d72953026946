"""Races on given numbers: the tests they rest on, who is dropped when, and how seldom the best one is."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.schedule.comparing import holm, interval, welch
from luthier.schedule.contest import contest

# -- the numbers -----------------------------------------------------------------------------------

A = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
B = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 25.2]


def test_welch_by_hand():
    # means 1 and 4, variances 1 and 4, 3 values each: t = 3/√(5/3) = 2.3238, ν = (5/3)²/((1/9 + 16/9)/2)
    # = 2.9412; the p of that is in no table, but ν = 3 and 2 bracket it: 0.103 and 0.146.
    chance = welch([0, 1, 2], [2, 4, 6])
    assert 0.1026 < chance < 0.1459
    # With equal variances and sizes it is Student's test: t = 2/√(2/3) = 2.4495 with ν = 4, p = 0.0705.
    assert welch([0, 1, 2], [2, 3, 4]) == pytest.approx(0.0705, abs=5e-4)


def test_welch_is_scipys():
    from scipy.stats import ttest_ind

    assert welch(A, B) == pytest.approx(ttest_ind(A, B, equal_var=False).pvalue, rel=1e-9)


def test_welch_of_a_scatter_whose_square_vanishes():
    assert welch([0.0, 1e-100], [0.0, 1e-100, 2e-100]) == pytest.approx(welch([0, 1], [0, 1, 2]))


def test_welch_without_scatter():
    assert welch([1, 1], [1, 1, 1]) == 1.0
    assert welch([1, 1], [2, 2, 2]) == 0.0
    with pytest.raises(ValueError, match="got 1 and 2"):
        welch([1], [1, 2])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(chances):
    for own, adjusted in zip(chances, holm(chances), strict=True):
        assert own <= adjusted <= min(1.0, len(chances) * own) or adjusted == max(holm(chances))
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    assert [holm(chances)[i] for i in order] == sorted(holm(chances))


def test_interval_by_hand():
    # mean 2, deviation 1, n = 4; t(0.975, 3) = 3.182
    low, high = interval([1.0, 1.5, 2.5, 3.0])
    spread = 3.18245 * math.sqrt((1 + 0.25 + 0.25 + 1) / 3 / 4)
    assert (low, high) == pytest.approx((2 - spread, 2 + spread), abs=1e-4)
    assert interval([7.0]) == (-math.inf, math.inf)


# -- the race on given numbers -----------------------------------------------------------------------


def test_golden_race():
    """Four candidates, five rounds at most: three looks, so each p is multiplied by 3, after Holm.

    Round 3: trial 2 leads (mean 0.10). Trial 9 (mean 0.50): t = 0.4/√(2·0.0001/3) = 48.99, ν = 4, two
    tails 1.04e-6; Holm 3, looks 3: 9.3e-6, dropped. Trial 5 (0.13): t = 3.674, p = 0.0213, Holm 2 x 3
    looks: 0.128, stays. Trial 7 diverged once, the leader never: dropped without a test.
    Round 4 and 5: trial 5 keeps its distance and more values make it significant.
    """
    runs = {
        2: [0.09, 0.10, 0.11],
        5: [0.12, 0.13, 0.14],
        7: [0.10, math.inf, 0.10],
        9: [0.49, 0.50, 0.51],
    }
    state = contest(runs, repetitions=5, significance=0.05)
    assert state.order == [2, 5, 9, 7]
    assert {n: d.after for n, d in state.drops.items()} == {7: 3, 9: 3}
    assert state.drops[7].why == "it diverged on 1 of 3 seeds, the leader on 0"
    assert math.isnan(state.drops[7].chance)
    assert state.drops[9].chance == pytest.approx(2 * 3 * 1.04e-6, rel=0.01)
    assert state.drops[9].why == "worse than trial 2 on 3 seeds, p < 0.001"
    assert state.chances[5] == pytest.approx(3 * 0.0213, rel=0.01)
    assert (state.wanted, state.over, state.rounds) == (2, False, 3)

    runs = {n: list(own) for n, own in runs.items()}
    runs[2] += [0.10]
    assert contest(runs, 5, 0.05).wanted == 5
    runs[5] += [None]
    waiting = contest(runs, 5, 0.05)
    assert (waiting.wanted, waiting.over, waiting.rounds) == (None, False, 3)
    runs[5] = [0.12, 0.13, 0.14, 0.13]
    after = contest(runs, 5, 0.05)
    assert after.over
    assert after.drops[5].after == 4
    assert after.drops[5].chance < 0.05
    assert after.order == [2, 5, 9, 7]


def test_nobody_is_waited_for_before_the_third_round():
    runs = {0: [None], 1: [0.3]}
    assert contest(runs, 4, 0.05).wanted == 0
    runs = {0: [None] * 3, 1: [0.3] * 2}
    assert contest(runs, 4, 0.05).wanted == 1
    runs = {0: [None] * 3, 1: [0.3] * 3}
    assert contest(runs, 4, 0.05).wanted is None


def test_failed_repetitions_are_missing_and_too_many_end_the_race_of_one():
    nan = math.nan
    state = contest({0: [0.1, 0.11, nan], 1: [nan, 0.1, nan], 2: [0.12, nan, 0.1]}, 3, 0.05)
    assert state.drops[1].why == "2 of its 3 repetitions failed"
    assert state.over
    assert state.order == [0, 2, 1]
    nothing = contest({0: [nan] * 3, 1: [nan] * 3}, 3, 0.05)
    assert (nothing.drops, nothing.over) == ({}, True)


def test_one_candidate_needs_no_race():
    assert contest({4: []}, 10, 0.05).over
    assert contest({4: []}, 10, 0.05).wanted is None


def test_the_best_is_dropped_no_more_often_than_promised():
    """Five candidates that are all the same: any of them may be the best; each is seldom dropped."""
    chance, dropped, races = random.Random(1), 0, 600
    for _ in range(races):
        runs = {n: [chance.gauss(0, 1) for _ in range(10)] for n in range(5)}
        dropped += 0 in contest(runs, 10, 0.05).drops
    # Promised is 0.05 for the best one. 0.05 plus three standard deviations of the count:
    assert dropped / races < 0.05 + 3 * math.sqrt(0.05 * 0.95 / races)


def test_a_clearly_worse_one_leaves_early_and_the_best_of_far_ones_wins():
    chance = random.Random(2)
    for _ in range(50):
        runs = {n: [chance.gauss(10.0 * n, 0.2) for _ in range(10)] for n in range(4)}
        state = contest(runs, 10, 0.05)
        assert state.order[0] == 0
        assert {n: d.after for n, d in state.drops.items()} == {1: 3, 2: 3, 3: 3}


@given(
    st.lists(
        st.lists(st.floats(0, 1) | st.just(math.inf) | st.just(math.nan), max_size=6),
        min_size=1,
        max_size=5,
    ),
    st.integers(3, 6),
)
def test_what_holds_of_every_race(losses, repetitions):
    runs = dict(enumerate(losses))
    state = contest(runs, repetitions, 0.05)
    assert sorted(state.order) == sorted(runs)
    alive = [n for n in runs if n not in state.drops]
    assert alive
    assert set(state.order[: len(alive)]) == set(alive)
    assert set(state.chances) == set(alive)
    if state.wanted is not None:
        assert state.wanted in alive
        assert len(runs[state.wanted]) == min(len(runs[n]) for n in alive) < repetitions
    else:
        assert state.over
    for drop in state.drops.values():
        assert 3 <= drop.after <= repetitions
        assert math.isnan(drop.chance) or drop.chance < 0.05
