"""Extrapolated learning curves, and who gets the next epochs by them."""

from __future__ import annotations

import itertools
import math
import random
import re

import numpy as np
import pytest
from driving import UNIT, run, save, simulate, study_of

from luthier.errors import StudyError
from luthier.run.opening import made_parts
from luthier.run.simulation import simulate as simulated
from luthier.run.worker import work
from luthier.schedule import FreezeThaw
from luthier.schedule.extrapolation import Belief, Curves, predict
from luthier.study import events as ev
from luthier.study.history import History, fold
from luthier.study.log import read_log
from luthier.study.protocols import Done, Fate, Limits
from luthier.study.records import TrialRecord, TrialState
from luthier.study.replay import replay

HOLDER = ev.Holder("another", "", "", 0, "", 0)
BELIEF = Belief(level=0.5, level_spread=0.3, drop=0.5, drop_spread=0.5)


def record(losses, number=0):
    trial = TrialRecord(number, {}, 0, TrialState.PAUSED, 0.0)
    for step, loss in enumerate(losses, 1):
        trial.add(step, loss, {}, 0.0)
    return trial


def continued(losses, step, budget=100):
    curves = Curves(budget)
    curves.take(record(losses))
    return predict([curves.sums[0]], np.array([0.5]), BELIEF, np.array([step]), budget)


def curve(draw, noise, steps=100):
    level, drop, power = draw.gauss(0.5, 0.3), abs(draw.gauss(0.5, 0.3)), draw.uniform(0.3, 1.8)
    return [level + drop * t**-power + draw.gauss(0, noise) for t in range(1, steps + 1)]


def test_a_curve_of_the_family_is_continued():
    losses = [0.2 + 0.8 * t**-0.5 for t in range(1, 21)]
    found = continued(losses, 100)
    assert found.mean[0] == pytest.approx(0.28, abs=0.02)
    assert abs(found.mean[0] - 0.28) < 3 * found.deviation[0]


def test_before_any_report_it_is_what_is_believed():
    found = continued([], 100)
    assert found.mean[0] == pytest.approx(0.5, abs=0.15)
    assert found.deviation[0] == pytest.approx(0.3, rel=0.3)


def test_the_chances_are_about_right():
    """Of 300 curves seen for 10 of 100 epochs, about as many end below a bar as were said to."""
    draw = random.Random(0)
    said, was, within = [], [], 0
    for _ in range(300):
        losses = curve(draw, 0.01)
        found = continued(losses[:10], 100)
        bar = losses[9] - 0.1
        said.append(float(found.below(bar)[0]))
        was.append(losses[-1] < bar)
        within += abs(losses[-1] - found.mean[0]) < 1.64 * found.deviation[0]
    assert np.mean(said) == pytest.approx(np.mean(was), abs=0.1)
    assert within / 300 > 0.7  # of intervals that should hold nine in ten
    sure = [happened for chance, happened in zip(said, was, strict=True) if chance > 0.9]
    unlikely = [happened for chance, happened in zip(said, was, strict=True) if chance < 0.1]
    assert np.mean(sure) > 0.8 > 0.2 > np.mean(unlikely)


def test_more_of_a_curve_makes_surer():
    losses = curve(random.Random(1), 0.01)
    deviations = [continued(losses[:seen], 100).deviation[0] for seen in (1, 5, 20, 80)]
    assert deviations == sorted(deviations, reverse=True)


def test_the_sums_follow_a_trial_that_goes_back():
    losses = curve(random.Random(2), 0.01, 10)
    trial, curves = record(losses), Curves(100)
    curves.take(trial)
    trial.forget_after(4)
    curves.take(trial)
    fresh = Curves(100)
    fresh.take(record(losses[:4]))
    assert curves.sums[0].count == fresh.sums[0].count
    np.testing.assert_allclose(curves.sums[0].shape_loss, fresh.sums[0].shape_loss)


@pytest.mark.parametrize("offset", [1e6, -1e8])
def test_a_large_offset_of_the_loss_changes_no_chance(offset):
    """The squares of a big set's log-likelihoods left nothing of what tells shapes apart."""
    losses = curve(random.Random(3), 0.01)[:12]

    def chances(shift):
        curves = Curves(100)
        curves.take(record([loss + shift for loss in losses]))
        curves.take(record([], number=1))
        belief = Belief(BELIEF.level + shift, *(0.3, 0.5, 0.5))
        levels, steps = np.array([0.5 + shift] * 2), np.array([100, 100])
        found = predict([curves.sums[0], curves.sums[1]], levels, belief, steps, 100)
        return [*found.below(losses[-1] - 0.1 + shift), *found.deviation, *(found.mean - shift)]

    assert chances(offset) == pytest.approx(chances(0.0), rel=1e-4, abs=1e-4)


def bowl(c, step):
    return (c["x"] - 0.3) ** 2 + (0.5 + c["x"]) / step


def told(folder, curves):
    """Return a study's scheduler and history in which each of *curves* was trained, and the last runs still."""
    study = study_of(FreezeThaw(50), folder)
    history, numbers = History(), itertools.count(1)

    def tell(kind, **fields):
        history.apply(next(numbers), kind(time=0.0, **fields))

    history.apply(next(numbers), study.history.header)
    for number, losses in enumerate(curves):
        by = {"trial": number, "lease": number + 1}
        configuration = {"x": number / len(curves)}
        tell(ev.TrialProposed, trial=number, configuration=configuration, seen=0, bracket=0)
        tell(ev.JobLeased, **by, holder=HOLDER, from_step=0, to_step=len(losses), term=0.0)
        for step, loss in enumerate(losses, 1):
            tell(ev.Reported, **by, step=step, metrics={"loss": loss}, seconds=1.0)
        if number < len(curves) - 1:
            tell(ev.TrialPaused, **by, step=len(losses))
    return study.scheduler, history


def test_how_far_curves_fall_is_read_off_the_longest_however_long_ago_they_were_trained(tmp_path):
    """What has begun only lies above the best one for being short."""
    draw = random.Random(0)
    levels = [*(draw.uniform(0.2, 0.3) for _ in range(308)), 0.2]
    curves = [[level + 0.8 / step for step in range(1, 41)] for level in levels]
    curves[8:] = [losses[:2] for losses in curves[8:]]
    rule, history = told(tmp_path, curves)
    assert rule.judge(history, history.trials[-1]).fate is Fate.PAUSE


def test_epochs_go_to_the_same_ones_with_any_offset():
    def steps(offset):
        done = simulated(
            lambda c, step: bowl(c, step) + offset, UNIT, minimize="loss", searcher="random",
            scheduler=FreezeThaw(30), max_epochs=150, workers=6,
        )  # fmt: skip
        return [t.step for t in done.study.trials]

    assert steps(1e8) == steps(0.0)


def test_epochs_go_to_the_good_ones(tmp_path):
    study = study_of(FreezeThaw(50), tmp_path, max_epochs=400)
    simulate(study, 1, bowl)
    assert 398 <= study.history.epochs <= 400
    assert len(study.history.paused) <= 9
    by_epochs = sorted(study.trials, key=lambda t: -t.step)
    longest = [abs(t.configuration["x"] - 0.3) for t in by_epochs[:3]]
    assert max(longest) < 0.25
    assert len(study.trials) > 20  # full training would have been 8
    assert study.best.step > 25


def test_who_has_no_chance_is_abandoned_and_told_why(tmp_path):
    study = study_of(FreezeThaw(20), tmp_path, max_trials=30)
    simulate(study, 1, lambda c, step: 10 * c["x"] + 1 / step)
    stopped = [t for t in study.trials if t.state is TrialState.STOPPED]
    assert stopped
    assert "with a probability of" in stopped[0].why
    assert min(t.configuration["x"] for t in study.trials) == study.best.configuration["x"]
    assert study.best.step == 20


def test_with_workers_and_divergence(tmp_path):
    study = study_of(FreezeThaw(20), tmp_path, max_epochs=200)
    simulate(study, 5, lambda c, step: math.nan if c["x"] > 0.6 else bowl(c, step))
    assert 190 <= study.history.epochs <= 200
    assert len(study.history.paused) <= 9
    assert not study.history.active


def test_the_plan_is_an_upper_bound():
    assert FreezeThaw(20).plan(Limits()) is None
    plan = FreezeThaw(20).plan(Limits(trials=10, epochs=100))
    assert plan.trials == 10
    assert plan.at_most


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FreezeThaw(0), "epochs.*got 0"),
        (lambda: FreezeThaw(9, unit=10), "between 1 and epochs=9, got 10"),
        (lambda: FreezeThaw(9, chance=1.5), r"chance must lie between 0 and 1 .*got 1\.5"),
        (lambda: FreezeThaw(9, end_below=-0.1), r"end_below must lie between 0 and 1 .*got -0\.1"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(StudyError, match=words):
        make()


def test_who_may_still_be_the_best_waits_for_more_epochs(tmp_path):
    study = study_of(FreezeThaw(50), tmp_path, max_epochs=100)
    run(study, bowl)
    assert study.history.epochs == 100
    assert isinstance(study.next_job(), Done)
    waiting = {n: t.step for n, t in study.history.paused.items()}
    assert 2 <= len(waiting) <= 9
    assert all(study.checkpoints.path(n, step).exists() for n, step in waiting.items())
    stopped = [t for t in study.trials if t.state is TrialState.STOPPED]
    assert {"with a probability of" in t.why for t in stopped} == {True, False}
    assert all("probability" in t.why or "8 others have a better" in t.why for t in stopped)
    study.steer.budget(epochs=300)
    run(study, bowl)
    assert study.history.epochs == 300
    assert any(study.trials[n].step > step for n, step in waiting.items())


def test_a_bound_that_is_met_late_is_asked_of_nobody_before(tmp_path):
    """Once one trial had kept it, all others that had not yet were passed over for new ones."""

    def train(trial):
        for epoch in trial.epochs(save=save, restore=save):
            trial.report(loss=bowl(trial.configuration, epoch + 1), accuracy=(epoch + 1) / 50)

    def steps(folder, **bounds):
        folder.mkdir()
        study = study_of(FreezeThaw(50), folder, max_epochs=400, **bounds)
        work(study, train)
        return [t.step for t in study.trials]

    free = steps(tmp_path / "free")
    assert steps(tmp_path / "bound", subject_to="accuracy >= 0.1") == free
    assert sum(step > 2 for step in free) > 20


def saturating(c, step):
    """One in twenty is far better than all others, and after a few epochs curves are flat."""
    return (0.0 if c["x"] < 0.05 else 0.5) + 0.3 * c["x"] + math.exp(-step)


@pytest.mark.parametrize("workers", [1, 4])
def test_it_ends_when_nothing_is_likely_to_beat_the_best(workers):
    options = {"minimize": "loss", "searcher": "random", "workers": workers, "max_epochs": 500}
    on = simulated(saturating, UNIT, scheduler=FreezeThaw(40, unit=4), **options).study
    assert 496 <= on.history.epochs <= 500
    assert on.next_job().reason == "no epochs are left to grant"
    done = simulated(
        saturating, UNIT, scheduler=FreezeThaw(40, unit=4, end_below=0.05), **options
    ).study
    (said,) = re.findall(
        r"^nothing is likely to beat the best: chance (.+) %$", done.next_job().reason
    )
    assert 100 / (len(done.trials) + 1) <= float(said) < 5  # no less than where all else is settled
    assert done.history.epochs < 480
    assert done.best.configuration["x"] < 0.05
    assert done.best.step == 40
    assert not done.history.active
    assert not done.history.paused
    assert {t.why for t in done.trials} & {done.next_job().reason}
    log = list(read_log(done.store, done.name))
    assert done.scheduler.next(fold(log), done.limits) == done.next_job()
    assert replay(log, *made_parts(done.history.header)).difference == ""


def test_what_is_enqueued_is_tried_before_it_ends(tmp_path):
    study = study_of(FreezeThaw(40, unit=4, end_below=0.05), tmp_path, max_epochs=500)
    run(study, saturating)
    begun = len(study.trials)
    assert study.next_job().reason.startswith("nothing is likely")
    study.steer.enqueue({"x": 0.0})
    run(study, saturating)
    assert study.trials[begun].configuration == {"x": 0.0}
    assert study.best.number == begun
    assert study.best.step == 40
