"""The best of n trials, by formulas that can be counted out."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from taught import taught

import luthier
from luthier import insight
from luthier.errors import StudyError
from luthier.insight import order_statistics as order
from luthier.study import events as ev

UNIT = luthier.Space(x=luthier.Float(0.0, 1.0))


@given(st.integers(1, 9), st.data())
def test_chances_are_those_of_counting_all_subsets(total, data):
    drawn = data.draw(st.integers(1, total))
    subsets = list(itertools.combinations(range(total), drawn))
    counted = [sum(min(s) == rank for s in subsets) / len(subsets) for rank in range(total)]
    assert order.chances(total, drawn) == pytest.approx(counted)
    few, times = min(total, 5), min(drawn, 4)
    tuples = list(itertools.product(range(few), repeat=times))
    counted = [sum(min(s) == rank for s in tuples) / len(tuples) for rank in range(few)]
    assert order.resampled_chances(few, times) == pytest.approx(counted)


@given(st.integers(1, 60), st.data())
def test_beaten_is_hypergeometric_at_whole_numbers_and_falls_between_them(total, data):
    better, drawn = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    exact = math.comb(total - better, drawn) / math.comb(total, drawn)
    assert order.beaten(total, better, drawn) == pytest.approx(exact)
    more = min(float(total), drawn + 0.5)
    assert order.beaten(total, better, more) <= order.beaten(total, better, drawn) + 1e-12


def test_the_curve_is_the_mean_and_the_quartiles_over_all_subsets():
    losses = [5.0, 3.0, 8.0, 1.0, 4.0, 7.0]
    study = taught(UNIT, lambda c, n: losses[n], 6)
    for point in insight.best_of(study):
        bests = [min(s) for s in itertools.combinations(losses, point.trials)]
        assert point.mean == pytest.approx(statistics.fmean(bests))
        assert point.best <= point.median <= point.worst
        for share, value in ((0.25, point.best), (0.5, point.median), (0.75, point.worst)):
            assert statistics.fmean(b <= value for b in bests) >= share - 1e-9
            assert statistics.fmean(b < value for b in bests) < share
    assert [p.trials for p in insight.best_of(study)] == [1, 2, 3, 4, 5, 6]


def test_a_metric_to_maximize_is_told_as_it_was_reported():
    study = taught(UNIT, lambda c, n: [0.1 * n], 6, maximize="loss", minimize=None)
    curve = insight.best_of(study)
    assert curve[-1].mean == pytest.approx(0.5)
    assert curve[0].best > curve[0].worst  # the quartile on the side that everybody wants


def test_without_noise_the_chance_is_that_the_record_falls_among_the_new():
    study = taught(UNIT, lambda c, _: c["x"], 30)
    assert insight.enough(study, more=10).chance == pytest.approx(10 / 40)
    assert insight.enough(study).chance == pytest.approx(1 / 2)
    assert insight.enough(study).more == 30
    assert not insight.enough(study).stop


def test_the_chance_is_as_often_right_as_it_says():
    generator = np.random.default_rng(3)
    said, came = [], []
    for _ in range(400):
        draws = generator.random(60) ** 0.5  # few near the best
        first = np.sort(draws[:40])
        near = int(np.sum(first <= first[0] + 0.05))
        said.append(order.beaten(40, near, 40 * 40 / 60))
        came.append(draws[40:].min() < first[0] - 0.05)
    assert statistics.fmean(said) == pytest.approx(statistics.fmean(came), abs=0.06)


def test_it_stops_when_many_are_as_good_as_the_best():
    space = luthier.Space(c=luthier.Choice("a", "b"))
    study = taught(space, lambda c, n: 1.0 + 0.01 * (n % 7), 40, noisy=True)
    verdict = insight.enough(study, more=20)
    assert verdict.noise.source == "repeats"
    assert verdict.stop
    assert verdict.chance < 0.1
    assert str(verdict).startswith("Enough was tried: the best loss is 1 after 40 trials, and 20")
    assert not insight.enough(study, more=20, least=0.0).stop
    few = taught(space, lambda c, n: 1.0, 9, noisy=True)
    assert not insight.enough(few).stop
    assert "Too early to tell before 10 trials" in str(insight.enough(few))


def test_a_searcher_that_learns_has_to_improve_on_the_best_of_all():
    def improving(c, n):
        return 1.0 if n < 20 else 0.5 + 0.001 * (n % 3)

    learned = taught(UNIT, improving, 40, searcher="tpe")
    # Of the later half, 20 trials, 7 share the best value: all of them would have to come late.
    assert insight.enough(learned).chance == pytest.approx(order.beaten(20, 7, 10))

    def spoilt_end(c, n):
        return 0.2 if n == 0 else 0.5 + 0.01 * n

    blind, guided = taught(UNIT, spoilt_end, 40), taught(UNIT, spoilt_end, 40, searcher="tpe")
    assert insight.enough(guided).chance < 0.01 < insight.enough(blind).chance


def test_noise_is_pooled_over_repeats():
    space = luthier.Space(c=luthier.Choice("a", "b"))
    told = {"a": iter([1.0, 3.0, 2.0] * 9), "b": iter([10.0, 10.0, 16.0] * 9)}
    seen = {"a": [], "b": []}

    def curve(c, _):
        seen[c["c"]].append(next(told[c["c"]]))
        return seen[c["c"]][-1]

    study = taught(space, curve, 20, noisy=True)
    squares = sum(statistics.variance(v) * (len(v) - 1) for v in seen.values())
    expected = math.sqrt(squares / (20 - 2))
    assert insight.noise(study.history).deviation == pytest.approx(expected)
    assert insight.noise(study.history).source == "repeats"


def test_copies_that_share_weights_are_no_repeats():
    """Two copies of one parent often have the same configuration; they are no independent trainings."""
    study = luthier.simulate(
        lambda c, step: c["rate"] + 1 / step, {"rate": luthier.Float(0.1, 1.0)}, minimize="loss",
        scheduler=luthier.schedule.PopulationBasedTraining(20, population=20), searcher="random",
    ).study  # fmt: skip
    copies = [t for t in study.trials if t.parent >= 0]
    assert len({(t.configuration["rate"], t.step) for t in copies}) < len(copies)
    assert insight.noise(study.history).source != "repeats"


def test_noise_is_guessed_from_the_end_of_curves_whatever_their_trend():
    generator = np.random.default_rng(0)

    def falling(c, _):
        return (1 - 0.004 * np.arange(40) + 0.05 * generator.standard_normal(40)).tolist()

    found = insight.noise(taught(UNIT, falling, 20).history)
    assert found.source == "curves"
    assert found.deviation == pytest.approx(0.05, rel=0.15)
    assert insight.noise(taught(UNIT, lambda c, _: c["x"], 5).history).source == "unknown"


def test_trials_that_diverge_count_as_the_worst():
    study = taught(UNIT, lambda c, n: math.nan if n < 3 else 1.0 + n, 12)
    assert insight.enough(study).trials == 12
    assert insight.enough(study).best == 4.0
    assert insight.best_of(study)[0].mean == pytest.approx((sum(range(4, 13)) + 3 * 12) / 12)


def test_what_cannot_be_answered_says_so():
    study = taught(UNIT, lambda c, _: c["x"], 3)
    with pytest.raises(StudyError, match="more must be a whole number above 0, got 0"):
        insight.enough(study, more=0)
    with pytest.raises(StudyError, match="least must be a chance"):
        insight.enough(study, least=2)
    with pytest.raises(StudyError, match="no trial with a finite value yet"):
        insight.enough(taught(UNIT, lambda c, _: 1.0, 0))


def test_the_picture_shows_the_curve():
    found = insight.enough(taught(UNIT, lambda c, _: 1 + c["x"], 40))
    axes = insight.picture(found)
    line = axes.lines[0]
    assert line.get_xdata().tolist() == [p.trials for p in found.curve]
    assert line.get_ydata().tolist() == [p.mean for p in found.curve]
    corners = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert {p.worst for p in found.curve} <= set(corners)


def test_a_grid_that_is_done_has_no_more_trials():
    space = luthier.Space(a=luthier.Int(1, 4), b=luthier.Int(1, 4))
    part = taught(space, lambda c, _: 1.0 * c["a"] + c["b"], 12, searcher="grid")
    verdict = insight.enough(part)
    assert verdict.more == 4
    assert "and the 4 that are left would improve it" in str(verdict)
    # The points of a grid stand in the order of its hyperparameters: later ones are not like the first.
    assert verdict.chance < 0.01
    done = insight.enough(taught(space, lambda c, _: 1.0 * c["a"] + c["b"], 16, searcher="grid"))
    assert (done.more, done.chance, done.stop) == (0, 0.0, True)
    assert str(done).startswith(
        "Everything that would be proposed was tried: the best loss is 2 after 16"
    )
    assert insight.picture(done).get_title() == "Everything was tried"


def test_a_small_space_ends_too():
    space = luthier.Space(a=luthier.Int(1, 12))
    done = insight.enough(taught(space, lambda c, _: 1.0 * c["a"], 12))
    assert (done.more, done.stop) == (0, True)
    noisy = insight.enough(taught(space, lambda c, n: 1.0 * c["a"] + n, 12, noisy=True))
    assert noisy.more == 12  # trying one again tells something


def test_where_the_noise_is_not_known_it_says_what_the_later_half_brought():
    words = str(insight.enough(taught(UNIT, lambda c, n: 30.0 - n, 30)))
    assert "seed noise not known" in words
    assert words.endswith("The first 15 had brought 16.")


def _two_rungs(name: str):
    """A study in which most trials were stopped after one epoch, the best of all among them."""
    study = luthier.open(name, UNIT, minimize="loss", searcher="random", storage="memory")
    for number in range(20):
        trial = study.ask()
        trial.report(loss=1.0 + 0.01 * number if number != 13 else 0.5)
        if number < 6:
            for epoch in range(4):
                trial.report(loss=0.9 - 0.05 * epoch + 0.01 * number)
            study.tell(trial)
        else:
            study.append([ev.TrialStopped(time=0.0, trial=number, step=1, reason="left behind")])
    return study


def test_what_nobody_measured_is_not_counted():
    """Trials that were stopped early count with what they reported, not with what they might have come to."""
    study = _two_rungs("two rungs")
    reported = sorted(t.best_loss for t in study.trials)
    curve = insight.best_of(study)
    assert curve[0].mean == pytest.approx(statistics.fmean(reported))
    assert curve[-1].mean == insight.enough(study).best == 0.5


def test_the_trials_that_a_race_repeats_do_not_count_as_seeds():
    """They were chosen for their luck: pooled with their repetitions they make the noise too large."""
    deviations = []
    for seed in range(6):
        study = luthier.simulate(
            lambda c, step, seed=seed: c["x"] * 1e-6, UNIT, minimize="loss", searcher="random",
            scheduler=None, epochs=1, max_trials=60, finalists=4, repetitions=6, seed=seed,
        ).study  # fmt: skip
        generator = np.random.default_rng(seed)
        for trial in study.history.trials:
            lucky = trial.number in {t.repeats for t in study.history.repetitions.values()}
            trial.best_loss = -3.0 if lucky else float(generator.standard_normal())
        found = insight.noise(study.history)
        assert found.source == "repeats"
        assert found.freedom == sum(
            len([t for t in study.history.repetitions.values() if t.repeats == n]) - 1
            for n in {t.repeats for t in study.history.repetitions.values()}
        )
        deviations.append(found.deviation)
    assert statistics.fmean(deviations) == pytest.approx(1.0, abs=0.15)


def test_a_later_half_without_a_value_shows_nothing():
    """Its chance would be that of a record among trials of which none has come to anything."""
    for settings in ({"searcher": "differential_evolution"}, {"searcher": "auto"}):
        study = taught(UNIT, lambda c, n: 1.0 + n if n < 10 else math.nan, 20, **settings)
        verdict = insight.enough(study)
        assert math.isnan(verdict.chance)
        assert not verdict.stop
        assert "none of the later half of them has a value that counts" in str(verdict)
        assert "cannot be told" in insight.picture(verdict).get_title()
    # The order of random trials says nothing.
    blind = insight.enough(taught(UNIT, lambda c, n: 1.0 + n if n < 10 else math.nan, 20))
    assert 0 <= blind.chance <= 1


def test_one_trial_is_one_trial():
    assert "is 1 after 1 trial, and" in str(insight.enough(taught(UNIT, lambda c, n: 1.0, 1)))
