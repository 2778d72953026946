"""Plans against the simulator, which runs the real schedulers on a virtual clock."""

from __future__ import annotations

import pytest
from taught import taught

import luthier
from luthier import insight
from luthier.errors import StudyError
from luthier.insight.makespan import makespan, work
from luthier.insight.planner import checkpoints
from luthier.schedule import ASHA, Full, Hyperband, SuccessiveHalving
from luthier.schedule.race import BRACKET
from luthier.study.protocols import Bracket, Limits, Plan, Rung

UNIT = luthier.Space(x=luthier.Float(0.0, 1.0))


@pytest.mark.parametrize(
    ("scheduler", "workers", "trials"),
    [
        (Full(4), 3, 10),
        (SuccessiveHalving(27, 30), 4, None),
        (Hyperband(27), 1, None),
        (Hyperband(27), 4, None),
        (Hyperband(9, 2, 3), 7, None),
        (Hyperband(81), 16, None),
    ],
)
def test_the_hours_are_those_of_the_simulator(scheduler, workers, trials):
    costs = insight.Costs(10.0, workers=workers)
    planned = insight.plan(scheduler, max_trials=trials, costs=costs)
    ran = luthier.simulate(
        lambda c, step: c["x"] + 1 / step, UNIT, minimize="loss", searcher="random",
        scheduler=scheduler, workers=workers, epoch_seconds=10.0, max_trials=trials,
    )  # fmt: skip
    assert planned.hours * 3600 == pytest.approx(ran.seconds, rel=0.03)
    assert planned.trials == len(ran.study.trials)
    assert planned.epochs == ran.epochs_trained


@pytest.mark.parametrize(("workers", "trials"), [(1, 60), (8, 120), (16, 300)])
def test_an_asynchronous_plan_is_an_upper_bound_and_not_far_off(workers, trials):
    costs = insight.Costs(10.0, workers=workers)
    planned = insight.plan(ASHA(27), max_trials=trials, costs=costs)
    ran = luthier.simulate(
        lambda c, step: c["x"] + 1 / step, UNIT, minimize="loss", searcher="random",
        scheduler=ASHA(27), workers=workers, epoch_seconds=10.0, max_trials=trials,
    )  # fmt: skip
    assert ran.epochs_trained <= planned.epochs <= 1.3 * ran.epochs_trained
    assert ran.seconds <= planned.hours * 3600 <= 1.5 * ran.seconds


def test_starts_count_once_a_job():
    made = Plan((Bracket(0, "", (Rung(4, 1), Rung(2, 3))),))
    assert work(made, 10.0, 5.0) == 4 * 15 + 2 * 25
    assert makespan(made, 1, 10.0, 5.0) == 4 * 15 + 2 * 25
    assert makespan(made, 3, 10.0, 5.0) == 2 * 15 + 25


def test_disk_is_bounded_by_what_retention_keeps():
    halving = SuccessiveHalving(9).plan(Limits())
    assert checkpoints(halving, 2, promotes=True) == 2 * 9 + 2 + 3
    assert checkpoints(Full(9).plan(Limits(trials=50)), 2, promotes=False) == 2 * 2 + 2 + 3
    costs = insight.Costs(1.0, checkpoint=1000)
    assert insight.plan("successive halving", epochs=9, costs=costs).disk == 1000 * (18 + 1 + 3)


def test_the_plans_for_some_hours_fit_and_the_best_is_by_rule():
    def best(hours, epochs, workers=1, seconds=60.0):
        found = insight.plans(hours, epochs, insight.Costs(seconds, workers=workers))
        assert all(0 < e.hours <= hours and e.why for e in found)
        return found[0]

    assert best(6, 27).scheduler == Hyperband(27, 3, 1)  # 357 epochs, 5 h 57
    assert isinstance(best(4, 27).scheduler, Hyperband)  # η = 4 takes 3 h 35
    deep = best(3, 27).scheduler
    assert isinstance(deep, SuccessiveHalving)
    assert best(1, 3).scheduler == Full(3)
    assert isinstance(best(2.5, 81, workers=16).scheduler, ASHA)  # Hyperband's rungs would wait
    assert best(1, 50).trials >= 8  # one full training, or some bracket: the bracket


def test_what_was_measured_tells_an_epoch_from_a_start():
    study = taught(UNIT, lambda c, _: [1.0, 0.5, 0.4], 4)
    for trial in study.history.trials:
        trial.seconds[:] = type(trial.seconds)("d", [7.0, 2.0, 2.5])
    costs = insight.measured(study.history, workers=2)
    assert (costs.epoch, costs.start, costs.workers) == (2.25, 4.75, 2)


def test_what_cannot_be_planned_says_so():
    with pytest.raises(StudyError, match="Only time would end"):
        insight.plan(epochs=5)
    with pytest.raises(StudyError, match="epochs=20 would fit"):
        insight.plans(1 / 3, 81, insight.Costs(60.0))
    with pytest.raises(
        StudyError, match=r"Unknown scheduler 'hyperbad'.* Did you mean 'hyperband'"
    ):
        insight.plan("hyperbad", epochs=9)
    with pytest.raises(StudyError, match="give epochs="):
        insight.plan("hyperband")
    with pytest.raises(StudyError, match="seconds above 0"):
        insight.Costs(0.0)
    with pytest.raises(StudyError, match="No trial of this study says"):
        insight.measured(taught(UNIT, lambda c, _: 1.0, 0))


@pytest.mark.parametrize(("workers", "repetitions"), [(1, 4), (2, 6), (4, 8)])
def test_a_race_begins_when_the_search_is_over_and_goes_on_round_by_round(workers, repetitions):
    """Everybody is equally good, so that nobody is dropped and all rounds are run."""
    ran = luthier.simulate(
        lambda c, step: 1.0, luthier.Space(x=luthier.Float(0.0, 1.0)), minimize="loss",
        searcher="random", scheduler=None, epochs=5, max_trials=16, workers=workers,
        epoch_seconds=10.0, finalists=2, repetitions=repetitions,
    )  # fmt: skip
    race = Bracket(BRACKET, "race", (Rung(2 * repetitions, 5),))
    search = Full(5).plan(Limits(trials=16))
    made = Plan((*search.brackets, race), at_most=True)
    planned = makespan(made, workers, 10.0, finalists=2)
    assert ran.seconds <= planned <= 1.25 * ran.seconds
    assert planned == pytest.approx(
        makespan(Plan(search.brackets, at_most=True), workers, 10.0)
        + 50.0 * (-(-6 // workers) + (repetitions - 3) * -(-2 // workers))
    )


def test_a_report_of_several_epochs_is_no_epoch():
    study = luthier.open("each third", UNIT, minimize="loss", storage="memory")
    for _ in range(4):
        trial = study.ask()
        for step in (3, 6, 9):
            trial.report(step=step, loss=1.0 / step)
        study.tell(trial)
    for trial in study.history.trials:
        assert list(trial.steps) == [3, 6, 9]
        trial.seconds[:] = type(trial.seconds)("d", [11.0, 6.0, 6.0])
    costs = insight.measured(study.history)
    assert (costs.epoch, costs.start) == (2.0, 5.0)
