"""Races in studies with simulated workers, after the fact, and derived again."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from driving import save
from hypothesis import given, settings
from hypothesis import strategies as st
from racing import UNIT, noisy, raced, tune

import luthier as lt
from luthier.errors import StudyError
from luthier.insight.race import race
from luthier.run.opening import made_parts, open_study
from luthier.run.simulation import heavy_tailed, simulate
from luthier.run.worker import work
from luthier.schedule import ASHA, SCHEDULERS
from luthier.schedule.race import BRACKET, Race, finalists, runs_of
from luthier.space import Space
from luthier.study import events as ev
from luthier.study import snapshot
from luthier.study.history import History, fold
from luthier.study.log import read_log
from luthier.study.records import TrialState
from luthier.study.replay import replay
from luthier.study.searched import searched

RACING = [name for name in SCHEDULERS if name not in ("population", "replay")]


# -- in a study --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", RACING)
def test_finalists_of_every_scheduler_are_raced(scheduler):
    done = raced(scheduler)
    study, history = done.study, done.study.history
    assert not done.stuck
    again = list(history.repetitions.values())
    assert 9 <= len(again) <= 15
    assert len(study.trials) - len(again) <= 12
    for trial in again:
        original = study.trials[trial.repeats]
        assert trial.configuration == original.configuration
        assert (trial.step, trial.state, trial.bracket) == (9, TrialState.COMPLETED, BRACKET)
        assert original.repeats < 0
    result = race(history)
    assert result is not None
    assert result.over
    best = {t.number for t in history.ranking()[:3]}
    assert {one.trial for one in result.finalists} == best
    for one in result.finalists:
        own = [t.best_loss for t in again if t.repeats == one.trial]
        assert list(one.values) == own
        assert one.mean == pytest.approx(fmean(own))
        assert one.low < one.mean < one.high
        assert one.found not in one.values  # it was selected for being good: no value of the race


def test_repetitions_are_no_candidates_of_the_search():
    done = raced(workers=1)
    history = done.study.history
    assert history.best is not None
    assert history.best.repeats < 0
    assert all(t.repeats < 0 for t in [*history.ranking(), *history.front()])
    lucky = min(t.best_loss for t in history.repetitions.values())
    assert lucky < history.ranking()[-1].best_loss  # they would have been ranked
    from luthier.search.observations import observe

    numbers = observe(history, history.space).numbers
    assert set(numbers) == {t.number for t in history.trials if t.repeats < 0}


@pytest.mark.parametrize("workers", [2, 5, 40])
def test_the_same_race_with_any_number_of_workers(workers):
    def told(done):
        return [(t.repeats, t.losses.tolist()) for t in done.study.trials], race(done.study.history)

    assert told(raced(workers=workers)) == told(raced(workers=1))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    workers=st.integers(1, 9),
    scheduler=st.sampled_from(RACING),
    limit=st.none() | st.integers(40, 250),
)
def test_lost_workers_stragglers_and_limits(seed, workers, scheduler, limit):
    """Nothing is left over, no limit is passed, and the log derives again."""
    done = raced(
        scheduler, workers, seed=seed, max_epochs=limit, failures=0.15, cut_off=0.05,
        epoch_seconds=heavy_tailed(10.0),
    )  # fmt: skip
    study = done.study
    assert not done.stuck
    assert not study.history.active
    report = replay(read_log(study.store, study.name), *made_parts(study.history.header))
    assert report.difference == ""
    if limit is None:
        result = race(study.history)
        assert result is not None
        assert result.over
    else:  # what a dead worker had trained and not reported is not in the log
        assert study.history.epochs <= limit


def test_diverging_and_failing_repetitions():
    def fragile(configuration, step, seed):
        value = noisy(configuration, step, seed)
        return math.nan if seed % 3 == 0 and step == 5 else value

    done = simulate(
        fragile, UNIT, minimize="loss", workers=4, scheduler="asha", searcher="random", epochs=9,
        max_trials=20, finalists=4, repetitions=6, failures=0.3, seed=5,
    )  # fmt: skip
    states = [t.state for t in done.study.history.repetitions.values()]
    assert TrialState.DIVERGED in states
    result = race(done.study.history)
    assert result is not None
    assert result.over
    assert result.winner is not None
    assert result.winner.diverged == min(one.diverged for one in result.finalists)
    assert any("diverged" in one.why for one in result.finalists)


def test_a_third_of_the_epochs_is_kept_for_the_race():
    done = simulate(
        noisy, UNIT, minimize="loss", workers=2, scheduler=None, searcher="random", epochs=9,
        max_epochs=180, finalists=3, repetitions=10,
    )  # fmt: skip
    history = done.study.history
    assert history.epochs - history.repeated_epochs == 117  # 13 trials: 120 epochs hold no more
    assert history.repeated_epochs == 63
    result = race(history)
    assert result is not None
    assert not result.over
    assert [len(one.values) for one in result.finalists] in ([3, 2, 2], [2, 3, 2], [2, 2, 3])
    assert result.winner is None  # nobody was judged: recommended is what the search recommends


@pytest.mark.parametrize("scheduler", ["hyperband", "median", "freeze thaw"])
def test_a_fresh_process_decides_the_same(scheduler):
    done = raced(scheduler, workers=4, failures=0.1)
    study = done.study
    log, limits = list(read_log(study.store, study.name)), study.limits
    kept = History()
    for number, event in log:
        kept.apply(number, event)
        move = study.scheduler.next(kept, limits)
        if number % 11 == 0:
            assert study.scheduler.next(fold(log[:number]), limits) == move
            again = snapshot.decode(snapshot.encode(kept))
            assert again is not None
            assert study.scheduler.next(again, limits) == move
            assert again.repetitions.keys() == kept.repetitions.keys()
            assert again.repeated_epochs == kept.repeated_epochs


# -- after the fact ----------------------------------------------------------------------------------


def test_a_finished_study_goes_on_with_a_race(tmp_path):
    first = tune(tmp_path)
    assert first.race is None
    assert len(first.trials) == 8
    second = tune(tmp_path, finalists=3, repetitions=4)
    assert second.race is not None
    assert second.race.over
    assert "race of the finalists is over" in second.reason
    assert second.best.number == first.best.number
    assert second.recommended.number == second.race.winner.trial
    assert len(second.trials) >= 8 + 9
    third = tune(tmp_path, finalists=3, repetitions=4)
    assert len(third.trials) == len(second.trials)
    more = tune(tmp_path, finalists=3, repetitions=8)  # those that are still in run on more seeds
    if len([one for one in second.race.finalists if one.dropped is None]) > 1:
        assert len(more.trials) > len(third.trials)


def test_the_search_goes_on_after_a_race_as_if_there_had_been_none(tmp_path):
    """Trials, epochs and losses of the race are none of the search's; new finalists join."""

    def quiet(trial):
        for epoch in trial.epochs(save=save, restore=save):
            trial.report(loss=abs(trial["x"] - 0.3) + 1 / (epoch + 1))

    def go(folder, trials, **options):
        folder.mkdir(exist_ok=True)
        return lt.tune(
            quiet, UNIT, minimize="loss", searcher="sobol", scheduler="hyperband", epochs=3,
            max_trials=trials, name="s", storage=folder / "s.db", progress=False, **options,
        )  # fmt: skip

    first = go(tmp_path / "raced", 4, finalists=2, repetitions=3)
    second = go(tmp_path / "raced", 9, finalists=2, repetitions=3)
    go(tmp_path / "alone", 4)
    alone = go(tmp_path / "alone", 9)
    mine = [t for t in second.trials if t.repeats < 0]
    assert len(mine) < len(second.trials)
    assert [(t.configuration, t.bracket, t.losses) for t in mine] == [
        (t.configuration, t.bracket, t.losses) for t in alone.trials
    ]
    raced_before = {one.trial for one in first.race.finalists}
    best = {t.number for t in second.study.history.ranking()[:2]}
    assert {one.trial for one in second.race.finalists} == raced_before | best
    log = read_log(second.study.store, "s")
    assert replay(log, *made_parts(second.study.history.header)).difference == ""


def test_a_grid_skips_nothing_where_a_race_came_between(tmp_path):
    space = Space(a=lt.Choice(*range(4)), b=lt.Choice(*range(3)))

    def cheap(trial):
        trial.report(loss=trial["a"] + trial["b"] + (trial.seed % 100) / 1000)

    def go(trials):
        return lt.tune(
            cheap, space, minimize="loss", searcher="grid", max_trials=trials, finalists=2,
            repetitions=3, name="g", storage=tmp_path / "g.db", progress=False, epochs=1,
        )  # fmt: skip

    go(5)
    result = go(12)
    points = [tuple(t.configuration.values()) for t in result.trials if t.repeats < 0]
    assert sorted(points) == sorted(set(points))
    assert len(points) == 12


def test_half_the_batch_is_another_configuration(tmp_path):
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", max_trials=2, searcher="random"
    )
    for _ in range(2):
        trial = study.ask()
        study.tell(trial, loss=trial["x"])
    study.steer.race(2, 3)
    number = study.ask().number
    changed = ev.ConfigurationSettled(
        time=0.0, trial=number, lease=study.trials[number].lease, configuration={"x": 0.5}
    )
    study._append([changed])
    again = study.ask()  # the one that was changed still runs
    study.tell(again, loss=0.1)
    assert math.isnan(contest_value(study, number))


def contest_value(study, number):
    record = study.trials[number]
    done = ev.TrialCompleted(time=0.0, trial=number, lease=record.lease, step=1)
    report = ev.Reported(time=0.0, trial=number, lease=record.lease, step=1, metrics={"loss": 0.0})
    study._append([report, done])
    return runs_of(study.history)[record.repeats][0]


def test_configurations_that_were_tried_twice_are_one_finalist():
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", searcher="random", max_trials=4
    )
    for x in (0.5, 0.5, 0.25, 0.75):
        study.enqueue({"x": x})
        study.tell(study.ask(), loss=x)
    study.steer.race(3, 3)
    assert finalists(study.history) == [2, 0, 3]


def test_the_view_of_the_search_has_what_the_history_has_without_repetitions():
    done = raced("hyperband", workers=4, failures=0.1)
    log = list(read_log(done.study.store, done.study.name))
    whole = History()
    for number, event in log:
        whole.apply(number, event)
        view = searched(whole)
        if not whole.repetitions:
            assert view is whole
            continue
        mine = [t for t in whole.trials if t.repeats < 0]
        assert list(view.trials) == mine
        assert [view.trials[t.number] for t in mine] == mine
        assert view.trials[-1] is mine[-1]
        assert set(view.active) == {n for n, t in whole.active.items() if t.repeats < 0}
        assert set(view.paused) == set(whole.paused)
        assert BRACKET not in view.brackets
        assert view.counts() == {
            s: sum(t.state is s for t in mine) for s in {t.state for t in mine}
        }
        assert view.epochs == whole.epochs - whole.repeated_epochs
        assert view.ended == sum(t.state.ended for t in mine)
    assert whole.repetitions


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"finalists": 1}, "finalists must be a whole number of at least 2, got 1"),
        ({"repetitions": 2}, "repetitions must be a whole number of at least 3, got 2"),
        ({"significance": 0.0}, "significance.*got 0.0"),
    ],
)
def test_wrong_settings_name_the_value(settings, words):
    study = open_study("s", UNIT, minimize="loss", storage="memory", max_trials=2)
    with pytest.raises(StudyError, match=words):
        study.steer.race(**settings)


def test_a_population_has_no_finalists():
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", scheduler="population", epochs=9
    )
    with pytest.raises(StudyError, match=r"one another's weights.*Replay\.of"):
        study.steer.race()


def test_the_plan_has_the_race():
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", scheduler="hyperband", epochs=9
    )
    scheduler = study.scheduler
    assert isinstance(scheduler, Race)
    alone = scheduler.planned(study.history, study.limits)
    study.steer.race(5, 10)
    plan = scheduler.planned(study.history, study.limits)
    assert alone is not None
    assert plan is not None
    assert plan.epochs == alone.epochs + 5 * 10 * 9
    assert plan.brackets[-1].name == "race"


def test_a_repetition_pruned_by_hand_is_no_measurement():
    study = open_study(
        "s", UNIT, minimize="loss", storage="memory", epochs=3, max_trials=2, scheduler=None,
        searcher="random",
    )  # fmt: skip
    study.steer.race(2, 3)
    numbers = []

    def train(trial):
        for epoch in trial.epochs(save=save, restore=save):
            trial.report(loss=noisy(trial.configuration, epoch + 1, trial.seed))
            if study.history.repetitions and not numbers and epoch == 1:
                numbers.append(trial.number)
                study.steer.prune(trial.number)

    work(study, train)
    (number,) = numbers
    record = study.trials[number]
    assert (record.state, record.step) == (TrialState.STOPPED, 1)
    runs = runs_of(study.history)[record.repeats]
    assert math.isnan(runs[0])
    assert len(runs) == 3
    assert not any(map(math.isnan, runs[1:]))


def test_the_search_is_left_a_training_and_its_share_is_called_so():
    done = simulate(
        noisy, UNIT, minimize="loss", scheduler=None, searcher="random", epochs=9, max_epochs=12,
        finalists=2, repetitions=3,
    )  # fmt: skip
    assert [t.step for t in done.study.trials] == [9]
    done = simulate(
        noisy, UNIT, minimize="loss", scheduler=ASHA(9, stops=True), searcher="random", epochs=9,
        max_epochs=60, finalists=2, repetitions=3, workers=7,
    )  # fmt: skip
    said = {t.why for t in done.study.trials if "do not hold its next rung" in t.why}
    assert said == {"the search's 40 of 60 epochs do not hold its next rung"}
    assert done.study.next_job().reason.startswith("60 epochs do not hold another repetition") or (
        "the search's 40 of 60 epochs do not hold another trial" in done.study.next_job().reason
    )


# -- the words ---------------------------------------------------------------------------------------


def test_sentences(tmp_path):
    outcome = tune(tmp_path, finalists=3, repetitions=6, max_trials=12).race
    assert outcome is not None
    assert outcome.winner is not None
    first, *others = outcome.finalists
    assert outcome.winner is first
    assert first.p == 1.0
    assert len(outcome.sentences) == 2
    for other, sentence in zip(others, outcome.sentences, strict=True):
        assert sentence.startswith(f"trial {first.trial} o")
        assert f"trial {other.trial}" in sentence
        assert ("over" in sentence) == (other.dropped is not None or other.p < 0.05)
        assert "p = " in sentence or "p < " in sentence
    assert str(outcome) == "\n".join(outcome.sentences)
