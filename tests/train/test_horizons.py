"""Schedules told by their length, the warning of half-finished ones, and schedules tied to the rung."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from pausing import Pausing
from torch.optim import lr_scheduler as of

import luthier as lt
from luthier.craft import schedules
from luthier.run.opening import open_study
from luthier.run.worker import work
from luthier.schedule import ASHA, SCHEDULERS, Auto, FreezeThaw, Hyperband, MedianStopping, Patience
from luthier.schedule.race import Race
from luthier.torch import State
from luthier.train.horizons import asked_again, kind_of, length_of


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


TIED = [
    (lambda o: of.CosineAnnealingLR(o, 27), 27),
    (lambda o: of.OneCycleLR(o, 1.0, total_steps=270), 270),
    (lambda o: of.PolynomialLR(o, 9), 9),
    (lambda o: of.LinearLR(o, 1.0, 0.1, total_iters=12), 12),
    (lambda o: of.MultiStepLR(o, [30, 60]), 60),
    (lambda o: of.CosineAnnealingWarmRestarts(o, 5), 5),
    (
        lambda o: of.SequentialLR(
            o, [of.LinearLR(o, 0.1, 1.0, 3), of.CosineAnnealingLR(o, 24)], [3]
        ),
        27,
    ),
    (lambda o: schedules.as_torch(schedules.Cosine(0.1, 270, warm_up=5), o), 270),
    (lambda o: schedules.as_torch(schedules.CosineRestarts(0.1, 30, warm_up=5), o), 35),
    (lambda o: schedules.as_torch(schedules.Step(0.1, (30, 60)), o), 60),
]
FREE = [
    lambda o: schedules.as_torch(schedules.WarmUpStableDecay(0.1, 270), o),
    lambda o: schedules.as_torch(schedules.InverseSquareRoot(0.1, warm_up=5), o),
    lambda o: of.ExponentialLR(o, 0.9),
    lambda o: of.StepLR(o, 10),
    lambda o: of.ReduceLROnPlateau(o),
    lambda o: of.LinearLR(o, 0.1, 1.0, total_iters=3),  # a warm-up
]


@pytest.mark.parametrize(("make", "length"), TIED)
def test_tied_to_a_length(make, length):
    schedule = make(optimizer())
    assert (length_of(schedule), kind_of(schedule)) == (length, "tied")


@pytest.mark.parametrize("make", FREE)
def test_without_a_horizon(make):
    schedule = make(optimizer())
    assert (length_of(schedule), kind_of(schedule)) == (None, "free")


def test_what_cannot_be_told():
    assert kind_of(of.LambdaLR(optimizer(), lambda step: 1 / (1 + step))) == "unknown"
    assert kind_of(0.1) == "unknown"


class CosineDecay:  # the attributes that Keras gives it; Keras itself is in keras_suite.py
    decay_steps, warmup_steps = 90, 10


class OwnDecay(CosineDecay):
    pass


def test_a_subclass_is_what_it_derives_from():
    assert length_of(OwnDecay()) == 100


class PolynomialLR:  # a class of the user's, which has no more than the name
    pass


def test_a_class_that_is_called_the_same_has_no_length():
    assert length_of(PolynomialLR()) is None


# -- when it matters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheduler", "to_step", "at"),
    [
        (Hyperband(27), 3, 3),
        (Hyperband(27), 27, None),
        (Hyperband(1), 1, None),
        (ASHA(27), 9, 9),
        (ASHA(27, stops=True), 27, 1),
        (ASHA(27, minimum=9, stops=True), 27, 9),
        (ASHA(27, minimum=27, stops=True), 27, None),
        (Auto(27), 3, 3),
        (Auto(27), 27, None),
        (MedianStopping(27, grace=4), 27, 5),
        (MedianStopping(27, grace=4, interval=5), 27, 9),
        (MedianStopping(9, grace=4, interval=5), 9, None),
        (FreezeThaw(40), 2, 2),
        (Patience(27), 27, None),
        (SCHEDULERS["none"](27), 27, None),
    ],
)
def test_when_a_scheduler_first_compares(scheduler, to_step, at):
    assert Race(scheduler).compares_at(to_step) == at


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (Hyperband(27), True),
        (ASHA(27), True),
        (Auto(27), True),
        (SCHEDULERS["dehb"](27), True),
        (ASHA(27, stops=True), False),
        (MedianStopping(27), False),
        (SCHEDULERS["significance"](27), False),
        (FreezeThaw(40), False),
        (SCHEDULERS["population"](27), False),
        (SCHEDULERS["none"](27), False),
    ],
)
def test_where_jobs_end_at_rungs(scheduler, expected):
    assert Race(scheduler).in_rungs is expected


def trained(make, scheduler, epochs=9):
    """Tune a loop of our own whose schedule *make* makes of (optimizer, trial); return the warnings."""

    def train(trial):
        parts = {"optimizer": optimizer()}
        parts["schedule"] = make(parts["optimizer"], trial)
        for _ in trial.epochs(State(**parts)):
            parts["optimizer"].step()
            parts["schedule"].step()
            trial.report(loss=trial["x"])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lt.tune(
            train, {"x": lt.Float(0, 1)}, minimize="loss", scheduler=scheduler, epochs=epochs,
            max_trials=8, storage="memory", searcher="random", progress=False, name="horizon",
        )  # fmt: skip
    said = [str(w.message) for w in caught if issubclass(w.category, lt.LuthierWarning)]
    return [text for text in said if not text.startswith("No trial trains longer")]


@pytest.mark.parametrize("scheduler", ["hyperband", "auto"])
def test_a_cosine_over_the_full_budget_warns_once_and_says_what_to_do(scheduler):
    (text,) = trained(lambda o, trial: of.CosineAnnealingLR(o, trial.horizon), scheduler)
    assert "CosineAnnealingLR runs over 9 epochs" in text
    assert "compares trials from epoch 1 on" in text
    assert "trial.to_step" in text
    assert "warm-up–stable–decay" in text


@pytest.mark.parametrize(
    "scheduler", ["median", "significance", ASHA(9, stops=True), "population", "freeze thaw"]
)
def test_where_no_job_ends_at_a_rung_a_schedule_over_it_is_no_way_out(scheduler):
    if not isinstance(scheduler, str):
        (text,) = trained(lambda o, trial: of.CosineAnnealingLR(o, 9), scheduler, epochs=None)
    else:
        (text,) = trained(lambda o, trial: of.CosineAnnealingLR(o, 9), scheduler)
    assert "whenever a trial is promoted" not in text
    assert "Take a schedule without a horizon" in text
    assert "a scheduler with rungs, such as 'hyperband'" in text


@pytest.mark.parametrize(
    ("make", "scheduler"),
    [
        (lambda o, trial: of.CosineAnnealingLR(o, trial.to_step), "hyperband"),
        (lambda o, trial: of.CosineAnnealingLR(o, trial.to_step), "auto"),
        (lambda o, trial: of.ExponentialLR(o, 0.9), "median"),
        (lambda o, trial: of.CosineAnnealingLR(o, trial.horizon), None),
    ],
)
def test_no_warning_where_nothing_is_half_finished(make, scheduler):
    assert trained(make, scheduler) == []


def test_build_functions_see_the_budget_and_are_warned_of_a_schedule_in_epochs():
    seen = set()

    def build(hp):
        model = torch.nn.Linear(4, 2)
        own = torch.optim.SGD(model.parameters(), lr=hp.float("rate", 0.01, 0.1))
        seen.add((hp.to_step, hp.horizon))
        return model, own, of.CosineAnnealingLR(own, 2 * hp.to_step)

    data = (torch.randn(8, 4), torch.zeros(8, dtype=torch.int64))
    with pytest.warns(lt.LuthierWarning, match="runs over 2 epochs.* from epoch 1 on"):
        lt.torch.tune(
            build, (data, data), epochs=3, scheduler="successive halving", storage="memory",
            progress=False, searcher="random", name="budget",
        )  # fmt: skip
    assert seen == {(1, 3), (3, 3)}  # in the first rung; in the last one, and without a trial


def cosine_over_all(hp):
    """A model whose schedule cannot be drawn to one epoch."""
    model = torch.nn.Linear(4, 2)
    own = torch.optim.SGD(model.parameters(), lr=hp.float("rate", 0.01, 0.1))
    own_schedule = schedules.Cosine(hp["rate"], steps=hp.horizon * 4, warm_up=6)
    return model, own, schedules.as_torch(own_schedule, own)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "discovered"])
@pytest.mark.filterwarnings("ignore::luthier.errors.LuthierWarning")
def test_a_schedule_over_the_horizon_is_also_drawn_where_no_trial_trains(declared):
    data = (torch.randn(8, 4), torch.zeros(8, dtype=torch.int64))
    result = lt.torch.tune(
        cosine_over_all, (data, data), epochs=3, batch_size=2, max_trials=2, scheduler="asha",
        storage="memory", progress=False, searcher="random",
        space={"rate": lt.Float(0.01, 0.1)} if declared else None,
    )  # fmt: skip
    assert isinstance(result.model(), torch.nn.Linear)
    assert isinstance(result.fit(), torch.nn.Linear)
    by_hand = result.study.hyperparameters(result.configuration)
    assert (by_hand.to_step, by_hand.horizon) == (3, 3)


def test_a_model_is_made_again_as_in_its_last_job():
    study = open_study(
        "s", lt.Space(rate=lt.Float(0.0, 1.0)), minimize="loss", epochs=9, scheduler="asha",
        storage="memory",
    )  # fmt: skip
    trial = study.ask()
    found = asked_again(study, study.trials[0])
    assert (found.to_step, found.horizon) == (trial.hp.to_step, trial.hp.horizon) == (1, 9)
    assert found["rate"] == trial["rate"]


# -- tied to the rung --------------------------------------------------------------------------------


def rates(tied, tmp_path):
    """Train one trial to epochs 2, 4 and 8; return the rate of each epoch."""
    found = []

    def train(trial):
        own = optimizer()
        schedule = of.CosineAnnealingLR(own, trial.to_step if tied else 8)
        for _ in trial.epochs(State(optimizer=own, schedule=schedule)):
            found.append(own.param_groups[0]["lr"])
            own.step()
            schedule.step()
            trial.report(loss=1.0)

    SCHEDULERS["pausing"] = Pausing
    try:
        study = open_study(
            "tied", {"x": lt.Float(0, 1)}, minimize="loss", scheduler=Pausing((2, 4, 8)),
            storage=tmp_path / "l.db", searcher="random",
        )  # fmt: skip
        work(study, train)
    finally:
        del SCHEDULERS["pausing"]
    return found


def cosine(epoch, length):
    return (1 + math.cos(math.pi * epoch / length)) / 2


@pytest.mark.filterwarnings("ignore::luthier.errors.LuthierWarning")
def test_a_schedule_tied_to_the_rung_becomes_that_of_the_next_one(tmp_path):
    expected = [cosine(e, 2) for e in (0, 1)] + [cosine(e, 4) for e in (2, 3)]
    expected += [cosine(e, 8) for e in (4, 5, 6, 7)]
    assert rates(True, tmp_path) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore::luthier.errors.LuthierWarning")
def test_a_schedule_of_the_same_length_goes_on_as_if_it_had_not_been_paused(tmp_path):
    assert rates(False, tmp_path) == pytest.approx([cosine(e, 8) for e in range(8)])
