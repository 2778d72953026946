"""Rules that abandon a trial: percentile, interval, patience, significance."""

from __future__ import annotations

import random
import statistics

import pytest
from driving import study_of

from luthier.errors import StudyError
from luthier.run.worker import work
from luthier.schedule import MedianStopping, Patience, Significance
from luthier.schedule.significance import noise_of
from luthier.study import events as ev
from luthier.study.records import TrialState


def trained(scheduler, curves, tmp_path):
    study = study_of(scheduler, tmp_path, max_trials=len(curves), searcher="random")

    def train(trial):
        for epoch in trial.epochs():
            trial.report(loss=curves[trial.number][epoch])

    work(study, train)
    return study


FLAT = [[level] * 10 for level in (1.0, 2.0, 3.0, 4.0, 3.5)]


@pytest.mark.parametrize(("percentile", "stopped"), [(50, [3, 4]), (75, [3, 4]), (100, [3, 4])])
def test_percentiles_of_the_runs_before(tmp_path, percentile, stopped):
    study = trained(MedianStopping(10, percentile=percentile), FLAT, tmp_path)
    assert [t.number for t in study.trials if t.state is TrialState.STOPPED] == stopped
    word = "median" if percentile == 50 else f"{percentile}th percentile"
    assert word in study.trials[3].why


def test_looks_are_taken_at_intervals(tmp_path):
    study = trained(MedianStopping(10, grace=2, interval=3), FLAT, tmp_path)
    assert study.trials[3].step == 5  # 2 + 3


def test_patience(tmp_path):
    curves = [
        [5, 4, 3, 3, 3, 3, 3, 3, 3, 3],
        [5, 4, 4.1, 3.9, 4, 4.2, 3.8, 3.7, 4, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ]
    study = trained(Patience(10, patience=4), curves, tmp_path)
    assert [t.step for t in study.trials] == [7, 10, 10]
    assert "no better since epoch 3, 4 epochs ago" in study.trials[0].why
    (tmp_path / "more").mkdir()
    study = trained(Patience(10, patience=4, better=0.5), curves, tmp_path / "more")
    assert [t.step for t in study.trials] == [7, 6, 10]


def noisy(level, noise, seed, epochs=30):
    draw = random.Random(seed)
    return [level + 3 / (step + 1) + draw.gauss(0, noise) for step in range(epochs)]


def test_noise_is_that_of_the_curve():
    found = [noise_of(noisy(1.0, 0.3, seed)) for seed in range(40)]
    assert statistics.median(found) == pytest.approx(0.3, rel=0.25)
    assert noise_of([1.0, 2.0]) is None
    assert noise_of([1 / (step + 5) for step in range(30)]) < 0.01


def test_what_differs_by_noise_alone_is_not_abandoned(tmp_path):
    """40 runs of the same configuration, looked at 28 times each at a level of 1 %."""
    curves = [noisy(1.0, 0.3, seed) for seed in range(40)]
    study = trained(Significance(30), curves, tmp_path)
    stopped = [t for t in study.trials if t.state is TrialState.STOPPED]
    assert len(stopped) <= 4


def test_what_is_worse_beyond_noise_is_abandoned_early(tmp_path):
    good = [noisy(1.0, 0.1, seed) for seed in range(10)]
    bad = [noisy(2.0, 0.1, 100 + seed) for seed in range(10)]
    study = trained(Significance(30), good + bad, tmp_path)
    assert all(t.state is TrialState.COMPLETED for t in study.trials[:10])
    assert all(t.state is TrialState.STOPPED for t in study.trials[10:])
    assert statistics.median(t.step for t in study.trials[10:]) <= 8
    assert "p < 0.01" in study.trials[10].why


@pytest.mark.parametrize(("level", "others"), [(0.01, 7), (0.05, 5), (0.2, 3)])
def test_so_few_runs_that_all_may_be_better_than_the_median_abandon_nobody(tmp_path, level, others):
    """Of n runs all lie below the median in 0.5ⁿ of cases: that must not be more often than the level."""
    curves = [[float(number)] * 4 for number in range(12)]  # each the worst so far, without noise
    study = trained(Significance(4, minimum=2, level=level), curves, tmp_path)
    assert 0.5**others <= level < 0.5 ** (others - 1)
    stopped = [t.number for t in study.trials if t.state is TrialState.STOPPED]
    assert stopped == list(range(others, 12))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MedianStopping(4, percentile=101), "between 0 and 100, got 101"),
        (
            lambda: MedianStopping(4, interval=0),
            "interval must be a whole number of at least 1, got 0",
        ),
        (lambda: Patience(4, patience=0), "patience must be a whole number of at least 1, got 0"),
        (lambda: Significance(4, level=0.7), r"level must lie between 0 and 0\.5, got 0\.7"),
        (
            lambda: Significance(4, minimum=True),
            "minimum must be a whole number of at least 2, got True",
        ),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(StudyError, match=words):
        make()


def test_looks_are_taken_at_intervals_also_where_reports_are_rarer(tmp_path):
    study = study_of(MedianStopping(20, grace=1, interval=4), tmp_path, max_trials=6)

    def train(trial):
        for step in (5, 10, 15, 20):  # never 4 steps or 8 after the grace period, but for the first
            if trial.should_stop:
                return
            trial.report(loss=float(trial.number), step=step)

    work(study, train)
    assert [t.step for t in study.trials] == [20, 20, 20, 5, 5, 5]
    (tmp_path / "rare").mkdir()
    study = study_of(MedianStopping(20, grace=1, interval=5), tmp_path / "rare", max_trials=6)
    work(study, train)
    assert [t.step for t in study.trials] == [20, 20, 20, 10, 10, 10]


def test_who_was_lost_with_the_word_of_its_end_unwritten_is_not_trained_again(tmp_path):
    """Patience asks nobody else: what it said of the last report it says again."""
    study = study_of(Patience(50, patience=3), tmp_path, max_trials=4)
    job = study.next_job()
    told = [
        ev.Reported(
            time=1.0 + n, trial=0, lease=job.lease, step=n, metrics={"loss": 1.0}, seconds=0.1
        )
        for n in range(1, 5)
    ]
    lost = ev.WorkerLost(time=9.0, trial=0, lease=job.lease, cause="signal 9", kind="lost")
    study.store.append("s", [ev.encode(event) for event in [*told, lost]])
    study.leased.clear()
    assert study.next_job().trial == 1
    assert study.refresh().trials[0].state is TrialState.STOPPED
    assert study.refresh().trials[0].step == 4
