"""ASHA and PASHA against their pseudo-code, and what asynchrony must not break."""

from __future__ import annotations

import itertools
import math

import pytest
from driving import run, simulate, study_of

from luthier.errors import StudyError
from luthier.run.simulation import heavy_tailed
from luthier.run.simulation import simulate as simulated
from luthier.schedule import ASHA, PASHA
from luthier.schedule.pasha import ranked_alike, tolerance
from luthier.schedule.rungs import Rungs
from luthier.space import Float, Space
from luthier.study.goals import goals_from
from luthier.study.protocols import Done, Limits
from luthier.study.records import TrialRecord, TrialState

UNIT = Space(x=Float(0.0, 1.0))


def algorithm_2(losses, epochs, factor, trials):
    """Li et al. 2020, Algorithm 2, transcribed, with one worker: yield (trial, from, to)."""
    steps = ASHA(epochs, factor).steps
    rungs = [[] for _ in steps]  # numbers of the trials whose loss at this rung is known
    promoted = [set() for _ in steps]
    begun = 0

    def get_job():
        nonlocal begun
        for k in range(len(steps) - 2, -1, -1):
            top = sorted(rungs[k], key=lambda t: (losses[t](steps[k]), t))
            candidates = top[: len(rungs[k]) // factor]
            promotable = [t for t in candidates if t not in promoted[k]]
            if promotable:
                promoted[k].add(promotable[0])
                return promotable[0], k + 1
        if begun == trials:
            return None
        begun += 1
        return begun - 1, 0

    while (job := get_job()) is not None:
        trial, k = job
        yield trial, steps[k - 1] if k else 0, steps[k]
        rungs[k].append(trial)


@pytest.mark.parametrize(("epochs", "factor"), [(9, 3), (27, 3), (16, 2), (50, 4), (1, 3)])
def test_one_worker_follows_the_algorithm(tmp_path, epochs, factor):
    study = study_of(ASHA(epochs, factor), tmp_path, max_trials=40, searcher="random")

    def loss(c, step):  # orders change on the way
        return c["x"] + math.sin(40 * c["x"]) / step

    trace = simulate(study, 1, loss)
    losses = [(lambda step, c=t.configuration: loss(c, step)) for t in study.trials]
    assert trace == list(algorithm_2(losses, epochs, factor, 40))


def test_nobody_is_waited_for_and_nothing_is_lost(tmp_path):
    study = study_of(ASHA(27), tmp_path, max_trials=60, searcher="random")
    simulate(study, 7, lambda c, step: c["x"] + 1 / step)
    assert len(study.trials) == 60
    assert not study.history.paused
    assert not study.history.active
    steps = study.scheduler.inner.steps
    assert {t.step for t in study.trials} == set(steps) == {1, 3, 9, 27}
    for low, high in itertools.pairwise(steps):
        arrived = [t for t in study.trials if t.step >= low]
        assert len([t for t in arrived if t.step >= high]) >= len(arrived) // 3


def test_a_thousand_workers_are_kept_busy():
    done = simulated(
        lambda c, step: c["x"] + 1 / step,
        UNIT,
        minimize="loss",
        workers=1000,
        scheduler="asha",
        searcher="random",
        epochs=9,
        max_epochs=12_000,
        epoch_seconds=heavy_tailed(10.0),
        failures=0.02,
    )
    assert not done.stuck
    # All but the end, when the epochs that are left are promised to others.
    assert done.idle < 0.25
    assert done.study.history.epochs >= 0.95 * 12_000


def test_the_epochs_are_not_exceeded(tmp_path):
    study = study_of("asha", tmp_path, epochs=27, max_epochs=100, searcher="random")
    simulate(study, 5, lambda c, step: c["x"])
    assert 90 <= study.history.epochs <= 100


@pytest.mark.parametrize("workers", [1, 5, 40])
def test_without_pauses_workers_are_kept_busy_and_the_epochs_are_not_exceeded(workers):
    """A running trial is promised the rung that it is in; to its end, it would keep others waiting."""
    done = simulated(
        lambda c, step: c["x"] + 1 / step,
        UNIT,
        minimize="loss",
        workers=workers,
        scheduler=ASHA(27, stops=True),
        searcher="random",
        max_epochs=400,
    )
    trials = done.study.trials
    assert 400 - 18 <= done.study.history.epochs <= 400
    assert done.seconds <= 1.05 * 400 / workers + 5
    assert all(t.state.ended for t in trials)
    assert {t.step for t in trials} <= {1, 3, 9, 27}
    cut = [t for t in trials if "400 epochs do not hold its next rung" in (t.why or "")]
    assert cut or workers == 1


def test_without_pauses_the_worst_are_stopped_on_arrival(tmp_path):
    """Later trials are better than the early ones they meet above, so more than 1/3 get on there."""
    study = study_of(ASHA(27, stops=True), tmp_path, max_trials=90, searcher="random")
    simulate(study, 1, lambda c, step: c["x"])
    reached = [sum(t.step >= s for t in study.trials) for s in study.scheduler.inner.steps]
    assert reached[0] == 90
    assert 30 <= reached[1] <= 40  # the first ones have few to be compared with
    assert reached[1] / 3 <= reached[2] < reached[1]
    stopped = next(t for t in study.trials if t.state is TrialState.STOPPED)
    assert "the top 1/3 go on" in stopped.why
    assert not any(t.retries for t in study.trials)


def test_reports_that_skip_a_rung_are_judged_when_they_have_passed_it(tmp_path):
    study = study_of(ASHA(27, stops=True), tmp_path, max_trials=30, searcher="random")
    from luthier.run.worker import work

    def train(trial):
        for step in (2, 4, 10, 27):
            if trial.should_stop:
                return
            trial.report(loss=trial["x"], step=step)

    work(study, train)
    steps = {t.step for t in study.trials}
    assert steps >= {2, 4}
    assert steps <= {2, 4, 10, 27}


def test_diverged_trials_are_never_promoted(tmp_path):
    study = study_of(ASHA(9), tmp_path, max_trials=30, searcher="random")
    simulate(study, 1, lambda c, step: math.nan if c["x"] > 0.4 else c["x"])
    assert all(t.state is TrialState.DIVERGED for t in study.trials if t.configuration["x"] > 0.4)
    assert any(t.step == 9 for t in study.trials)


def test_the_plan_names_every_rung():
    plan = ASHA(27).plan(Limits(trials=30))
    assert [(r.trials, r.step) for r in plan.brackets[0].rungs] == [
        (30, 1),
        (16, 3),
        (10, 9),
        (6, 27),
    ]
    assert plan.at_most
    assert ASHA(27).plan(Limits()) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ASHA(0), "epochs.*got 0"),
        (lambda: ASHA(9, factor=1), "factor must be a .*number of at least 2, got 1"),
        (lambda: PASHA(9, minimum=10), "between 1 and epochs=9, got 10"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(StudyError, match=words):
        make()


def test_rungs_follow_a_trial_that_goes_back_to_an_old_checkpoint():
    rungs = Rungs(0, (1, 3, 9), goals_from(None, "loss"))
    trial = TrialRecord(0, {}, 0, TrialState.RUNNING, 0.0)
    for step in (1, 2, 3):
        trial.add(step, 1.0 / step, {}, 0.0)
        rungs.take(trial)
    assert [len(places) for places in rungs.arrived] == [1, 1, 0]
    trial.forget_after(1)
    rungs.take(trial)
    assert [len(places) for places in rungs.arrived] == [1, 0, 0]
    trial.add(3, 0.5, {}, 0.0)
    trial.state = TrialState.PAUSED
    rungs.take(trial)
    assert rungs.waiting == [[], [(0.5, 0)], []]


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"epochs": 27}, (1, 3, 9, 27)),
        ({"epochs": 80}, (3, 9, 27, 80)),
        ({"epochs": 52}, (2, 6, 17, 52)),
        ({"epochs": 100, "minimum": 5}, (11, 33, 100)),
        ({"epochs": 8, "minimum": 8}, (8,)),
    ],
)
def test_rungs_are_counted_from_the_highest_like_hyperbands(settings, steps):
    assert ASHA(**settings).steps == steps


@pytest.mark.parametrize("workers", [1, 4, 16])
@pytest.mark.parametrize(("epochs", "most"), [(27, 81), (27, 54), (52, 260), (27, 40), (9, 9)])
@pytest.mark.parametrize("seed", [0, 1])
def test_epochs_that_run_out_let_one_come_to_the_end(workers, epochs, most, seed):
    """They used to go to newcomers, of which nobody could rise any more."""
    done = simulated(
        lambda c, step: c["x"] + 1 / step,
        UNIT,
        minimize="loss",
        workers=workers,
        scheduler="auto",
        searcher="random",
        epochs=epochs,
        max_epochs=most,
        seed=seed,
    )
    assert max(t.step for t in done.study.trials) == epochs
    assert most - 2 < done.study.history.epochs <= most  # a rest below a rung is left
    assert not done.stuck


def test_with_fewer_epochs_than_a_training_nothing_is_kept_back():
    done = simulated(
        lambda c, step: c["x"], UNIT, minimize="loss", workers=2, scheduler="asha", searcher="random",
        epochs=27, max_epochs=26,
    )  # fmt: skip
    assert done.study.history.epochs == 26
    assert len(done.study.trials) >= 9


def test_who_is_to_come_to_the_end_may_diverge():
    def loss(c, step):
        return math.nan if step > 10 and c["x"] < 0.2 else c["x"] + 1 / step

    for seed in range(4):
        done = simulated(
            loss, UNIT, minimize="loss", workers=3, scheduler="asha", searcher="random", epochs=27,
            max_epochs=120, seed=seed,
        )  # fmt: skip
        assert not done.stuck
        assert 110 <= done.study.history.epochs <= 120


def test_who_was_stopped_when_the_trials_were_used_up_takes_nobodys_place_when_there_are_more(
    tmp_path,
):
    study = study_of(ASHA(9), tmp_path, max_trials=18)
    simulate(study, 1, lambda c, step: float(len(study.trials)))  # the first ones are the best ones
    study.steer.budget(trials=54)
    simulate(study, 1, lambda c, step: float(len(study.trials)))
    assert sum(t.step >= 3 for t in study.trials) >= 54 // 3 - 1


# -- PASHA -------------------------------------------------------------------------------------------


def test_a_stable_ranking_needs_no_more_epochs(tmp_path):
    study = study_of(PASHA(81), tmp_path, max_trials=60, searcher="random")
    simulate(study, 1, lambda c, step: c["x"] + 1 / step)  # nobody ever overtakes
    assert max(t.step for t in study.trials) == 3
    assert study.best.configuration["x"] == min(t.configuration["x"] for t in study.trials)


def test_an_unstable_ranking_opens_the_next_rung(tmp_path):
    study = study_of(PASHA(81), tmp_path, max_trials=60, searcher="random")

    def crossing(c, step):  # who is best after one epoch is the worst in the end
        return c["x"] if step < 2 else 2 - c["x"]

    simulate(study, 1, crossing)
    assert max(t.step for t in study.trials) >= 9


def test_rankings_within_the_noise_are_alike():
    below = [(0.1, 0), (0.2, 1), (0.25, 2)]
    swapped = [(0.01, 0), (0.02, 2), (0.03, 1)]
    assert not ranked_alike(swapped, below, 0.0)
    assert ranked_alike(swapped, below, 0.06)
    assert ranked_alike(below, below, 0.0)


def test_noise_is_read_off_curves_that_cross_and_cross_back():
    def record(number, losses):
        trial = TrialRecord(number, {}, 0, TrialState.PAUSED, 0.0)
        for step, loss in enumerate(losses, 1):
            trial.add(step, loss, {}, 0.0)
        return trial

    one, other = record(0, [1.0, 0.5, 0.4]), record(1, [0.9, 0.6, 0.37])
    apart = record(2, [2.0, 1.9, 1.8])
    assert tolerance([one, apart], 3) == 0.0
    assert tolerance([one, other, apart], 3) == pytest.approx(0.03)
    assert tolerance([one, other], 2) == 0.0  # they have crossed once by then


def falling(configuration, step):
    return configuration["x"] + 1 / step


def test_the_best_of_too_few_trials_is_trained_to_its_end():
    for epochs, trials in ((9, 6), (81, 10), (27, 3)):
        done = simulated(
            falling, UNIT, minimize="loss", searcher="random", scheduler=ASHA(epochs),
            workers=2, max_trials=trials,
        )  # fmt: skip
        steps = sorted(t.step for t in done.study.trials)
        assert steps[-1] == epochs
        assert done.study.best.step == epochs
        assert done.study.history.epochs <= done.study.scheduler.plan(Limits(trials)).epochs


def test_it_is_not_where_the_epochs_do_not_hold_it():
    done = simulated(
        falling, UNIT, minimize="loss", searcher="random", scheduler=ASHA(27),
        max_trials=3, max_epochs=10,
    )  # fmt: skip
    assert done.study.history.epochs <= 10
    assert max(t.step for t in done.study.trials) == 3


def test_only_a_trial_that_came_to_its_end_is_the_best_of_too_few():
    """Not one that diverged at the very last epoch."""
    ends = itertools.count()

    def loss(c, step):
        return math.nan if step == 9 and next(ends) == 0 else falling(c, step)

    done = simulated(
        loss, UNIT, minimize="loss", searcher="random", scheduler=ASHA(9), max_trials=4
    )
    states = {t.state for t in done.study.trials if t.step == 9}
    assert states == {TrialState.DIVERGED, TrialState.COMPLETED}


@pytest.mark.parametrize("scheduler", ["asha", "pasha", "auto"])
@pytest.mark.parametrize("trials", [None, 20])
def test_who_lacks_epochs_alone_waits_for_more_of_them(tmp_path, scheduler, trials):
    def crossing(c, step):  # so that PASHA opens all its rungs
        return c["x"] if step < 2 else 2 - c["x"] + 1 / step

    study = study_of(scheduler, tmp_path, epochs=27, max_epochs=50, max_trials=trials)
    run(study, crossing)
    history, rule = study.history, ASHA(27)
    assert history.epochs <= 50
    assert isinstance(study.next_job(), Done)
    waiting = {number: trial.step for number, trial in history.paused.items()}
    assert waiting
    for number, step in waiting.items():
        among = rule.rungs(history).arrived[rule.steps.index(step)]
        assert number in [n for _, n in among[: max(1, len(among) // 3)]]
        assert study.checkpoints.path(number, step).exists()
    study.steer.budget(trials=trials, epochs=120)
    run(study, crossing)
    assert study.history.epochs > 50
    assert any(study.trials[number].step > step for number, step in waiting.items())


def test_the_best_of_too_few_waits_for_epochs_too(tmp_path):
    study = study_of(ASHA(27), tmp_path, max_trials=3, max_epochs=10)
    run(study, falling)
    assert "10 epochs do not hold another rung" in study.next_job().reason
    (waiting,) = study.history.paused
    study.steer.budget(trials=3, epochs=100)
    run(study, falling)
    assert study.best.number == waiting
    assert study.best.step == 27


def test_pasha_says_why_it_trains_nobody_further(tmp_path):
    study = study_of(PASHA(81), tmp_path, max_trials=60)
    simulate(study, 1, falling)
    at_the_top = [t for t in study.trials if t.step == 3]
    assert all("beyond epoch 3 was not called for" in t.why for t in at_the_top)
    assert all("top 1/3" in t.why for t in study.trials if t.step == 1)
    with pytest.raises(StudyError, match=r"PASHA: stops=True.*ASHA\(stops=True\)"):
        PASHA(81, stops=True)
