"""The surrogate's cuts are held against functions that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

import luthier
from luthier import insight
from luthier.errors import StudyError
from luthier.insight.progressing import improvements
from luthier.space import Choice, Float, Int, Space
from luthier.study import events as ev

SPACE = Space(
    rate=Float(1e-4, 1, scale="log"),
    depth=Int(1, 6),
    kind=Choice({"a": Space(inner=Float(0, 1)), "b": Space()}),
)


def value(configuration: dict) -> float:
    loss = (math.log10(configuration["rate"]) + 2) ** 2 + 0.1 * (configuration["depth"] - 3) ** 2
    return loss + (0.5 * configuration["kind.a.inner"] if configuration["kind"] == "a" else 0.3)


@pytest.fixture(scope="module")
def study() -> luthier.Study:
    study = luthier.open(
        "s", SPACE, minimize="loss", storage="memory", searcher="sobol", scheduler=None
    )
    for _ in range(60):
        trial = study.ask()
        study.tell(trial, loss=value(trial.configuration))
    return study


def test_a_slice_is_the_function_with_all_else_as_in_the_best_trial(study: luthier.Study) -> None:
    found = insight.response(study, "rate")
    best = study.trials[found.around].configuration
    assert found.around == study.best.number
    rates = [SPACE["rate"].decode(place) for place in found.places]
    truth = np.array([value({**best, "rate": rate}) for rate in rates])
    assert np.abs(found.mean - truth).max() < 0.15 * np.ptp(truth)
    assert abs(math.log10(rates[int(np.argmin(found.mean))]) + 2) < 0.3
    inside = (found.low <= truth) & (truth <= found.high)
    assert inside.mean() > 0.5
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()


def test_few_values_are_each_looked_at(study: luthier.Study) -> None:
    assert len(insight.response(study, "depth").places) == 6
    assert [SPACE["depth"].decode(p) for p in insight.response(study, "depth").places] == [
        *range(1, 7)
    ]
    assert len(insight.response(study, "kind").mean) == 2


def test_what_the_best_trial_lacks_is_seen_where_it_was_active(study: luthier.Study) -> None:
    found = insight.response(study, "inner")
    assert found.name == "kind.a.inner"
    assert study.trials[found.around].configuration["kind"] == "a"


def test_a_contour_has_its_lowest_place_where_the_function_has(study: luthier.Study) -> None:
    found = insight.contour(study, "rate", "depth")
    assert found.mean.shape == (6, len(found.across))
    row, column = np.unravel_index(int(np.argmin(found.mean)), found.mean.shape)
    assert abs(math.log10(SPACE["rate"].decode(found.across[column])) + 2) < 0.4
    assert SPACE["depth"].decode(found.up[row]) in (2, 3, 4)
    assert set(insight.contour(study).names) == {"rate", "depth"}, "the two that matter"


def test_maximised_values_are_not_turned_over() -> None:
    study = luthier.open(
        "m", Space(x=Float(0, 1)), maximize="score", storage="memory", searcher="random",
        scheduler=None,
    )  # fmt: skip
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, score=1 - (trial["x"] - 0.7) ** 2)
    found = insight.response(study, "x")
    assert abs(found.places[int(np.argmax(found.mean))] - 0.7) < 0.1
    assert found.mean.max() == pytest.approx(1, abs=0.05)
    assert (found.low <= found.high).all()


def test_too_little_to_say_something() -> None:
    study = luthier.open(
        "e", Space(x=Float(0, 1)), minimize="loss", storage="memory", scheduler=None
    )
    for _ in range(3):
        study.tell(study.ask(), loss=1.0)
    with pytest.raises(StudyError, match="at least 5 trials"):
        insight.response(study, "x")
    for _ in range(3):
        study.tell(study.ask(), loss=1.0)
    with pytest.raises(StudyError, match="that differ in loss"):
        insight.response(study, "x")
    study.tell(study.ask(), loss=2.0)
    with pytest.raises(StudyError, match="two hyperparameters"):
        insight.contour(study)


def test_the_same_hyperparameter_twice_is_no_contour(study: luthier.Study) -> None:
    with pytest.raises(StudyError, match="'rate' twice"):
        insight.contour(study, "rate", "rate")


def test_improvements_are_those_of_the_trials_in_their_order(study: luthier.Study) -> None:
    found = improvements(study.history)
    losses = [t.best_loss for t in study.trials]
    running = np.minimum.accumulate(losses)
    assert found.values[-1] == running[-1]
    assert found.trials[-1] == 60
    assert found.epochs == found.trials, "a trial here is one report"
    for count, best, number in zip(found.trials, found.values, found.numbers, strict=True):
        assert running[count - 1] == best == losses[number]


def test_the_cut_goes_through_the_trial_that_was_measured_to_be_the_best():
    """Not through one that was stopped early and is expected to have come to more."""
    space = luthier.Space(x=luthier.Float(0.0, 1.0), y=luthier.Float(0.0, 1.0))
    study = luthier.open("cut", space, minimize="loss", searcher="random", storage="memory")
    for number in range(20):
        trial = study.ask()
        trial.report(loss=1.0 + 0.01 * number if number != 13 else 0.72)
        if number < 6:
            for epoch in range(4):
                trial.report(loss=0.85 - 0.05 * epoch + 0.01 * number)
            study.tell(trial)
        else:
            study.append([ev.TrialStopped(time=0.0, trial=number, step=1, reason="left behind")])
    assert study.best.number == 0
    assert insight.response(study, "x").around == 0
    assert insight.contour(study, "x", "y").around == 0


def test_a_contour_needs_five_trials_whoever_names_its_hyperparameters():
    space = luthier.Space(x=luthier.Float(0.0, 1.0), y=luthier.Float(0.0, 1.0))
    study = luthier.open("five", space, minimize="loss", searcher="random", storage="memory")
    for _ in range(5):
        trial = study.ask()
        study.tell(trial, loss=trial["x"] + trial["y"])
    assert insight.contour(study).names == ("x", "y")
    assert insight.contour(study, "y").names == ("y", "x")
