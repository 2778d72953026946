"""Coarse to fine: what it narrows, what it leaves alone, how the box moves, and by what evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrowed import CONDITIONAL, FINER, SPACE, ends, is_narrowed, smooth, told_of, valley
from told import told

from luthier.search.coarse_to_fine import CoarseToFine
from luthier.search.columns import columns_of
from luthier.search.narrowing import Part, _aligned, _p_value, shrunk, space_in, whole, widened
from luthier.space import Choice, Float, Int, Space

# -- what is narrowed ------------------------------------------------------------------------------


@pytest.mark.parametrize("optimum", [3e-4, 3e-3, 1e-1])
def test_it_narrows_the_learning_rate_towards_the_optimum_and_says_so(optimum):
    def loss(configuration):
        return math.log10(configuration["rate"] / optimum) ** 2 + 0.1 * configuration["drop"]

    study = told(SPACE, loss, 20, searcher=FINER)
    low, high = ends(told_of(study)["rate"])
    assert low < optimum < high
    assert math.log10(high / low) < 0.8 * 6
    line = FINER.explain(study.history, SPACE)
    assert line.startswith("coarse round 2 of 2 in a narrowed box: rate 1e-05…10 -> ")
    assert "(the best 4 of 16 lie there, p = 0.0" in line
    assert "units not narrowed (p = " in line
    assert all(low * 0.999 <= t.configuration["rate"] <= high * 1.001 for t in study.trials[16:])


def test_each_round_narrows_further_and_earlier_trials_count():
    searcher = CoarseToFine(rounds=3, trials=12, inside="sobol")
    space = Space(x=Float(0, 1), y=Float(0, 1))
    widths, counted = [], []
    for trials in (12, 24, 36):
        study = told(space, lambda c: (c["x"] - 0.4) ** 2, trials, searcher=searcher)
        part = told_of(study, searcher)["x"]
        low, high = ends(part)
        assert low < 0.4 < high
        widths.append(high - low)
        counted.append(int(part.reason.split(" of ")[1].split()[0]))
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]
    assert counted[1] > 12 < counted[2]  # the round's own twelve, and earlier ones in the box


def test_no_round_leaves_less_than_a_quarter_of_a_range():
    columns = columns_of(Space(x=Float(0, 1), y=Float(0, 1)))
    points = np.array([[0.3 + i / 1e5, 0.9999 + i / 1e6] for i in range(40)])
    points[20:, 0] = np.linspace(0, 1, 20)
    points[20:, 1] = np.linspace(0, 1, 20)
    losses = np.concatenate([np.zeros(20), np.abs(points[20:, 0] - 0.3) + 1])
    x, _ = shrunk(whole(columns), columns, points, losses, 0.25)
    assert x.low < 0.3 < x.high
    assert x.high - x.low == pytest.approx(0.25)
    losses = np.concatenate([np.zeros(20), 2 - points[20:, 1]])
    _, y = shrunk(whole(columns), columns, points, losses, 0.25)
    assert (y.low, y.high) == pytest.approx((0.75, 1.0))


def test_it_seldom_narrows_what_makes_no_difference():
    found = []
    for seed in range(20):
        study = told(SPACE, lambda c: math.log10(c["rate"]) ** 2, 32, searcher=FINER, seed=seed)
        parts = told_of(study)
        assert is_narrowed(parts["rate"])
        found += [is_narrowed(part) for name, part in parts.items() if name != "rate"]
    assert sum(found) <= 6  # of 60, in two rounds at 5 % each


@pytest.mark.parametrize(("noise", "narrowest", "widest"), [(0, 0, 0.01), (0.2, 0.15, 0.7)])
def test_no_box_is_narrower_than_what_noise_can_tell_apart(noise, narrowest, widest):
    # Losses differ by less than the noise within 0.22 of the optimum, on either side of it.
    searcher = CoarseToFine(rounds=6, trials=16, inside="sobol")
    space = Space(x=Float(0, 1), y=Float(0, 1))
    widths, held = [], 0
    for seed in range(6):
        generator = np.random.default_rng(seed)
        optimum = generator.random()
        study = told(
            space,
            lambda c, g=generator, o=optimum: 4 * (c["x"] - o) ** 2 + noise * g.normal(),
            96,
            searcher=searcher,
            seed=seed,
        )
        low, high = ends(told_of(study, searcher)["x"])
        widths.append(high - low)
        held += low - 1e-3 <= optimum <= high + 1e-3
    assert narrowest <= min(widths)
    assert np.median(widths) <= widest
    assert held >= 5


def test_a_bad_option_is_dropped_and_an_unlucky_one_is_not():
    space = Space(x=Float(0, 1), y=Float(0, 1), kind=Choice("a", "b", "c"))
    searcher = CoarseToFine(trials=16, inside="sobol")
    bad, unlucky = 0, 0
    for seed in range(12):
        for badness in (3.0, 0.0):

            def loss(c, badness=badness):
                return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + badness * (c["kind"] == "b")

            study = told(space, loss, 32, searcher=searcher, seed=seed)
            after = told_of(study, searcher)["kind"].after
            if badness:
                assert "'a'" in after
                assert "'c'" in after
                bad += "'b'" not in after
            else:
                unlucky += after != "'a', 'b', 'c'"
    assert bad >= 11
    assert unlucky <= 1


def test_a_dropped_option_is_told_and_proposed_no_more():
    study = told(CONDITIONAL, valley, 60, searcher=CoarseToFine(inside="tpe"), seed=2)
    line = CoarseToFine(inside="tpe").explain(study.history, CONDITIONAL)
    assert line.startswith("tpe after 2 coarse rounds in a narrowed box: ")
    assert "optimizer: dropped 'adam' (p = " in line
    assert all(t.configuration["optimizer"] == "sgd" for t in study.trials[-12:])


def test_an_option_among_the_best_is_kept_however_bad_it_is_on_average():
    columns = columns_of(Space(x=Float(0, 1), kind=Choice("good", "mixed")))
    points = np.array([[0.5, 0.25 + 0.5 * (i % 2)] for i in range(40)])
    losses = np.array([0.0 if i % 2 == 0 else 9.0 for i in range(40)]) + np.arange(40) / 100
    assert shrunk(whole(columns), columns, points, losses, 0.25)[1].options == (0,)
    losses[3] = -1.0
    assert shrunk(whole(columns), columns, points, losses, 0.25)[1].options == (0, 1)


def test_few_trials_narrow_nothing():
    columns = columns_of(Space(x=Float(0, 1), kind=Choice("a", "b")))
    points = np.array([[i / 6, 0.25 + 0.5 * (i > 2)] for i in range(7)])
    box = shrunk(whole(columns), columns, points, points[:, 0], 0.25)
    assert box == whole(columns)
    assert [part.reason for part in box] == ["only 7 trials"] * 2
    points = np.array([[i / 20, 0.25 if i < 17 else 0.75] for i in range(20)])
    assert shrunk(whole(columns), columns, points, points[:, 0], 0.25)[1].options == (0, 1)


def test_only_trials_in_which_it_is_active_count_for_a_range():
    def loss(configuration):
        return abs(math.log10(1 - configuration.get("optimizer.sgd.momentum", 0.968)) + 1.5)

    study = told(CONDITIONAL, loss, 40, searcher=CoarseToFine(trials=40, inside="sobol"))
    part = told_of(study, CoarseToFine(trials=40))["optimizer.sgd.momentum"]
    active = sum("optimizer.sgd.momentum" in t.configuration for t in study.trials)
    assert f"of {active} lie there" in part.reason
    low, high = ends(part)
    assert 0.9 < low < 1 - 10**-1.5 < high < 0.999


@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_space_diverges(seed):
    loss, optimum = smooth(seed)
    cliff = optimum[0] + 0.05
    study = told(
        SPACE,
        lambda c: math.nan if SPACE.encode(c)[0] > cliff else loss(c),
        32,
        searcher=FINER,
        seed=seed,
    )
    diverged = [t.state == "diverged" for t in study.trials]
    assert sum(diverged[16:]) < sum(diverged[:16])
    low, high = ends(told_of(study)["rate"])
    best = SPACE.domains["rate"].decode(optimum[0])
    assert low < best < high < 10


def test_all_trials_diverged_so_far():
    study = told(SPACE, lambda _: math.nan, 40, searcher=CoarseToFine(inside="tpe"))
    assert len({tuple(t.configuration.values()) for t in study.trials}) == 40
    line = CoarseToFine(inside="tpe").explain(study.history, SPACE)
    assert "in the whole space: rate not narrowed (only 0 trials)" in line


# -- the box moves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [16, 34])  # into the second round, and into what comes after it
def test_an_optimum_outside_the_box_is_found_again(trials):
    def loss(configuration):  # broad round 3e-4, and better in a ditch that coarse rounds overlook
        at = math.log10(configuration["rate"])
        return (at + 3.5) ** 2 - 200 * max(0.0, 1 - abs(at - 0.9) / 0.08)

    searcher = CoarseToFine(trials=16, inside="tpe")
    study = told(SPACE, loss, trials, searcher=searcher, seed=0)
    assert ends(told_of(study, searcher)["rate"])[1] < 10**0.8
    study.enqueue({**SPACE.default(), "rate": 10**0.84})  # somebody tries it by hand
    for _ in range(40):
        trial = study.ask()
        study.tell(trial, loss=loss(trial.configuration))
    low, high = ends(told_of(study, searcher)["rate"])
    assert low < 10**0.84 < 10**0.9 < high
    assert study.best_value < -100  # the trial by hand had -31


def test_a_round_begins_where_the_best_trial_lies():
    space = Space(x=Float(0, 1))
    searcher = CoarseToFine(rounds=3, trials=12, inside="sobol")
    study = told(space, lambda c: abs(c["x"] - 0.3), 14, searcher=searcher)
    assert ends(told_of(study, searcher)["x"])[1] < 0.6
    study.enqueue({"x": 0.8})
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, loss=-1.0 if trial["x"] == 0.8 else abs(trial["x"] - 0.3))
    assert ends(told_of(study, searcher)["x"])[1] > 0.81


@given(st.floats(0, 1), st.floats(0, 0.9), st.floats(0.1, 1))
def test_the_best_trial_is_never_at_an_edge_of_the_widened_box(place, low, width):
    columns = columns_of(Space(x=Float(-3, 7)))
    box = (Part(low=low, high=min(1.0, low + width)),)
    (part,) = widened(box, columns, np.array([place]))
    assert part.low <= place <= part.high
    assert part.low <= box[0].low < box[0].high <= part.high
    room = 0.05 * (part.high - part.low)
    assert part.low == 0 or place - part.low >= room
    assert part.high == 1 or part.high - place >= room


def test_a_widened_box_has_the_best_trials_option():
    columns = columns_of(Space(kind=Choice("a", "b", "c"), x=Float(0, 1)))
    box = (Part(options=(0,)), Part())
    found = widened(box, columns, np.array([0.99, math.nan]))
    assert found[0].options == (0, 2)


def test_a_changed_space_goes_on_from_the_old_trials():
    space = Space(x=Float(0, 10), kind=Choice("a", "b"))
    searcher = CoarseToFine(inside="tpe")
    study = told(space, lambda c: (c["x"] - 9) ** 2 + (c["kind"] == "b"), 30, searcher=searcher)
    study.steer.space({"x": Float(5, 20), "kind": Choice("a", "b", "c"), "more": Float(0, 1)})
    for _ in range(30):
        trial = study.ask()
        assert study.space.check(trial.configuration) == trial.configuration
        study.tell(trial, loss=(trial["x"] - 9) ** 2 + trial["more"])
    low, high = ends(told_of(study, searcher)["x"])
    assert 5 <= low < 9 < high < 20


# -- spaces in a box -------------------------------------------------------------------------------


def test_what_a_dropped_option_opens_goes_with_it_and_so_do_its_constraints():
    space = Space(
        kind=Choice({"deep": Space(layers=Int(2, 9)), "flat": Space()}),
        more=Float(0, 1).when(**{"kind.deep.layers": [2, 9]}),
        units=Int(1, 100),
        constraints=["units * kind.deep.layers <= 300", "units < 90"],
    )
    inner = space_in(space, (Part(options=(1,)), Part(), Part(), Part()))
    assert list(inner) == ["kind", "units"]
    assert [c.text for c in inner.constraints] == ["units < 90"]
    layers = _aligned(Part(low=0.3, high=0.6), space["kind.deep.layers"])
    inner = space_in(space, (Part(options=(0, 1)), layers, Part(), Part()))
    assert "more" not in inner  # neither 2 nor 9 layers are left
    layers = _aligned(Part(low=0.3), space["kind.deep.layers"])
    inner = space_in(space, (Part(options=(0, 1)), layers, Part(), Part()))
    assert ("kind.deep.layers", (9,)) in inner["more"].condition


def test_two_conditions_that_no_option_left_meets_together():
    kind = Choice("a", "b", "c", "d")
    space = Space(kind=kind, x=Float(0, 1).when(kind=["a", "b"]).when(kind=["b", "c", "d"]))
    assert space_in(space, (Part(options=(0, 1, 3)), Part()))["x"].condition == (
        (("kind", ("b",)),) * 2
    )
    assert "x" not in space_in(space, (Part(options=(0, 2, 3)), Part()))


@pytest.mark.parametrize(
    ("domain", "low", "high", "values"),
    [
        (Int(8, 64, step=8), 0.3, 0.6, (24, 40)),
        (Int(1, 9), 0.5, 0.5, (4, 6)),  # one value is no range
        (Int(1, 2), 0.9, 1.0, (1, 2)),
        (Float(0.1, 0.7, step=0.2), 0.3, 0.7, (0.3, 0.5)),
        (Float(1e-4, 1, scale="log"), 0.25, 0.75, (1e-3, 1e-1)),
        (Float(0.9, 0.999, scale="one_minus_log"), 0.5, 1.0, (0.99, 0.999)),
    ],
)
def test_ranges_end_at_values_there_are(domain, low, high, values):
    space = Space(x=domain)
    inner = space_in(space, (_aligned(Part(low=low, high=high), domain),))["x"]
    assert (inner.low, inner.high) == pytest.approx(values)
    assert domain.contains(inner.low)
    assert domain.contains(inner.high)
    assert (inner.scale, inner.step) == (domain.scale, domain.step)


def test_defaults_and_beliefs_stay_where_they_are_inside():
    space = Space(
        x=Float(0, 1, default=0.6, prior=0.7, confidence="high"),
        y=Float(0, 1, default=0.1, prior=0.0),
        kind=Choice("a", "b", "c", default="c", prior="b"),
    )
    half = Part(low=0.5, high=1.0)
    inner = space_in(space, (half, half, Part(options=(1, 2))))
    assert (inner["x"].default, inner["x"].prior) == (0.6, 0.7)
    assert inner["x"].confidence == "medium"  # as wide as before, in half of the range
    assert (inner["y"].default, inner["y"].prior) == (0.75, None)
    assert (inner["kind"].default, inner["kind"].prior) == ("c", "b")
    inner = space_in(space, (half, half, Part(options=(0,))))
    assert (inner["kind"].default, inner["kind"].prior) == ("a", None)


# -- statistics ------------------------------------------------------------------------------------


def test_p_values_are_even_where_there_is_nothing_and_small_where_there_is():
    generator = np.random.default_rng(0)
    x = generator.random((300, 24))
    by_chance = np.array([_p_value(row, generator.normal(size=24)) for row in x])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(by_chance <= level) - level) < 4 * math.sqrt(level * (1 - level) / 300)
    assert all(_p_value(row, (row - 0.5) ** 2) <= 0.001 for row in x[:20])
    assert all(_p_value(row, np.where(row > 0.5, math.inf, 0.0)) <= 0.001 for row in x[:20])
    assert _p_value(np.full(24, 0.3), x[0]) == 1.0  # one value only
