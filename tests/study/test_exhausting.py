"""A study in which training twice gives the same tries no configuration twice, and ends when all were tried."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier
from luthier.run.opening import made_parts, open_study
from luthier.schedule.population import PopulationBasedTraining
from luthier.search.widening import due
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.storage import open_store
from luthier.study.exhausting import untried
from luthier.study.log import read_log
from luthier.study.replay import replay

SMALL = Space(units=Int(1, 4), rate=Choice([0.1, 0.01]), bias=Bool().when(units=[1, 2]))
POINTS = 2 * (2 * 2 + 2)


def tried(study) -> list[str]:
    return [repr(sorted(t.configuration.items())) for t in study.trials]


def run_to_its_end(study, most: int = 60) -> str:
    for _ in range(most):
        try:
            trial = study.ask()
        except luthier.StudyFinished as end:
            return str(end)
        study.tell(trial, loss=trial["units"] + trial["rate"])
    return ""


@pytest.mark.parametrize(
    "searcher", ["random", "sobol", "halton", "tpe", "gaussian_process", "cma_es", "auto"]
)
def test_every_configuration_is_tried_once_and_then_it_ends(searcher):
    study = luthier.open("s", SMALL, minimize="loss", searcher=searcher, storage="memory")
    assert f"all {POINTS} configurations of the space were tried" in run_to_its_end(study)
    assert len(study.trials) == len(set(tried(study))) == POINTS


@pytest.mark.parametrize("searcher", ["differential_evolution", "coarse_to_fine", "bohb"])
def test_others_do_so_too(searcher):
    study = luthier.open("s", SMALL, minimize="loss", searcher=searcher, storage="memory", seed=3)
    assert run_to_its_end(study)
    assert len(study.trials) == len(set(tried(study))) == POINTS


def test_a_budget_below_that_holds_and_what_somebody_repeats_by_hand_counts_for_nothing():
    study = luthier.open("s", SMALL, minimize="loss", searcher="random", storage="memory")
    first = study.ask()
    study.tell(first, loss=1.0)
    study.enqueue(first.configuration)
    run_to_its_end(study)
    assert len(study.trials) == POINTS + 1
    assert len(set(tried(study))) == POINTS
    few = luthier.open(
        "few", SMALL, minimize="loss", searcher="random", max_trials=5, storage="memory"
    )
    assert "5 trials" in run_to_its_end(few)


@pytest.mark.parametrize(
    "space",
    [
        pytest.param(Space(x=Float(0.0, 1.0), kind=Choice(["a", "b"])), id="continuous"),
        pytest.param(Space(x=Int(1, 5000)), id="many"),
        pytest.param(Space(x=Constant(3)), id="nothing is searched"),
    ],
)
def test_other_spaces_have_no_end(space):
    study = luthier.open("s", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(30):
        study.tell(study.ask(), loss=1.0)
    assert len(study.trials) == 30


def test_a_noisy_study_goes_on():
    study = luthier.open(
        "s", SMALL, minimize="loss", searcher="random", noisy=True, storage="memory"
    )
    assert not run_to_its_end(study, 40)
    assert len(study.trials) == 40


def test_define_by_run_code_repeats_nothing_while_there_is_something_new():
    study = open_study(
        "s",
        Space(),
        minimize="loss",
        searcher="random",
        storage="memory",
        seed=1,
        define_by_run=True,
    )
    for _ in range(12):
        trial = study.ask()
        found = trial.hp.int("a", 1, 4) + trial.hp.choice("b", [0.1, 0.2, 0.3])
        study.tell(trial, loss=found)
    assert len(set(tried(study))) == 12
    trial = study.ask()  # the code may ask for something else: there is no end to it
    study.tell(trial, loss=trial.hp.int("a", 1, 4) + trial.hp.choice("b", [0.1, 0.2, 0.3]))


def test_a_population_goes_on_in_a_small_space():
    space = Space(rate=Choice([0.1, 0.2]), momentum=Choice([0.8, 0.9]))
    study = open_study(
        "s",
        space,
        minimize="loss",
        scheduler=PopulationBasedTraining(12, population=6, interval=2, explores=["rate"]),
        max_epochs=60,
        storage="memory",
    )
    assert study.limits.trials is None


def test_a_plan_that_is_made_before_the_first_report_is_that_of_the_limits():
    study = luthier.open(
        "s", SMALL, minimize="loss", max_trials=50, searcher="random", storage="memory"
    )
    assert study.limits.trials == 50  # the code may ask for more than was declared
    trial = study.ask()
    study.tell(trial, loss=trial.hp.float("more", 0.0, 1.0))
    assert study.limits.trials == 50


@pytest.mark.filterwarnings(
    "ignore:Trial 0 is paused at epoch 1, and its reports come from outside"
)
@pytest.mark.parametrize("scheduler", ["hyperband", "successive_halving", "dehb"])
def test_brackets_go_on_to_their_end_in_a_small_space(scheduler):
    study = open_study(
        "s",
        SMALL,
        minimize="loss",
        searcher="random",
        scheduler=scheduler,
        epochs=9,
        max_trials=30,
        storage="memory",
    )
    trial = study.ask()
    trial.report(loss=1.0)
    assert study.limits.trials == 30


def test_a_rate_of_whole_numbers_on_a_log_scale_has_each_of_them_once():
    space = Space(units=Int(1, 9, scale="log"), rate=Constant(0.1))
    study = luthier.open("s", space, minimize="loss", searcher="random", storage="memory")
    run_to_its_end(study)
    assert sorted(t.configuration["units"] for t in study.trials) == list(range(1, 10))


def test_a_hyperparameter_that_is_added_gives_more_to_try():
    study = luthier.open(
        "s", Space(units=Int(1, 2), rate=Constant(0.1)), minimize="loss", storage="memory"
    )
    run_to_its_end(study)
    study.steer.space(study.space.with_domain("bias", Bool()))
    run_to_its_end(study)
    assert len(study.trials) == 6
    assert {t.configuration.get("bias") for t in study.trials} == {None, False, True}


def test_what_is_enqueued_after_the_end_is_trained_and_then_it_ends_again():
    study = luthier.open("s", SMALL, minimize="loss", searcher="random", storage="memory")
    run_to_its_end(study)
    study.enqueue(study.best.configuration)
    assert run_to_its_end(study)
    assert len(study.trials) == POINTS + 1


def test_what_would_run_out_of_memory_is_not_waited_for():
    space = Space(batch_size=Choice([32, 64, 128]), rate=Choice([0.1, 0.2]))
    study = open_study("s", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(20):
        try:
            trial = study.ask()
        except luthier.StudyFinished:
            break
        if trial["batch_size"] >= 64:
            study.fail(trial, "out of memory", "no memory")
        else:
            study.tell(trial, loss=trial["rate"])
    assert len(study.trials) == len(set(tried(study))) <= 6
    assert {t.configuration["rate"] for t in study.trials if t.best_step} == {0.1, 0.2}


def test_a_space_of_very_many_is_not_counted():
    names = {f"x{i}": Int(0, 2**52 - 1) for i in range(30)}
    study = luthier.open(
        "s", Space({**names, "y": Float(0.0, 1.0)}), minimize="loss", storage="memory"
    )
    study.tell(study.ask(), loss=1.0)
    assert study.limits.trials is None


def test_code_that_asks_for_one_only_under_another_repeats_nothing():
    study = open_study(
        "s", Space(), minimize="loss", searcher="random", storage="memory", define_by_run=True
    )
    for _ in range(5):
        trial = study.ask()
        kind = trial.hp.choice("kind", ["a", "b"])
        width = trial.hp.int("width", 1, 4) if kind == "a" else 0
        study.tell(trial, loss=float(width))
    assert len(set(tried(study))) == 5


def test_widening_by_hand_gives_it_more_to_try():
    study = luthier.open("s", SMALL, minimize="loss", searcher="random", storage="memory")
    run_to_its_end(study)
    study.steer.space(SMALL.with_domain("units", Int(1, 5)))
    study.tell(study.ask(), loss=0.0)
    assert study.trials[-1].configuration["units"] == 5


def test_what_is_proposed_in_place_of_a_repetition_is_derived_again(tmp_path):
    path = tmp_path / "s.db"
    study = luthier.open("s", SMALL, minimize="loss", searcher="random", storage=path)
    run_to_its_end(study)
    store = open_store(path)
    header = study.history.header
    found = replay(read_log(store, "s"), *made_parts(header), due)
    assert not found.difference
    assert found.proposals == POINTS


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), taken=st.integers(0, POINTS))
def test_what_is_untried_is_all_that_was_not_tried(seed, taken):
    study = luthier.open(
        "s", SMALL, minimize="loss", searcher="random", storage="memory", seed=seed
    )
    for _ in range(taken):
        study.ask()
    left = [repr(sorted(point.items())) for point in untried(study.space, None, study.history)]
    assert len(left) == POINTS - taken
    assert not set(left) & set(tried(study))
