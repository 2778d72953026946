"""A grid is trained to its last point, whatever is enqueued and however its space changes on the way."""

from __future__ import annotations

import pytest

import luthier
from luthier.errors import StudyFinished
from luthier.run.worker import work
from luthier.space import Choice, Float, Int

INTS = {"x": Int(1, 4), "y": Int(1, 4)}


def trained(study, most=100):
    """Train until the study is over, and return the points of all trials."""
    for _ in range(most):
        try:
            trial = study.ask()
        except StudyFinished:
            return [(t.configuration["x"], t.configuration["y"]) for t in study.trials]
        study.tell(trial, loss=float(trial["x"]))
    raise AssertionError("it has no end")


def grid(space, **options):
    return luthier.open(
        "s", space, minimize="loss", searcher=luthier.Grid(**options), storage="memory"
    )


def test_what_is_enqueued_off_the_grid_costs_it_no_point():
    study = grid({"x": Float(0, 1), "y": Float(0, 1)}, count=3)
    for x in (0.11, 0.22):
        study.enqueue({"x": x, "y": 0.3})
    points = trained(study)
    assert len(points) == 11
    assert len(set(points)) == 11


def test_a_point_of_it_that_is_enqueued_is_trained_once():
    study = grid(INTS)
    study.enqueue({"x": 4, "y": 4})
    points = trained(study)
    assert points[0] == (4, 4)
    assert len(points) == len(set(points)) == 16


def test_a_narrowed_grid_is_trained_to_its_last_point():
    study = grid(INTS)
    for _ in range(9):
        study.tell(study.ask(), loss=1.0)
    study.steer.space({"x": Int(3, 4), "y": INTS["y"]})
    points = trained(study)
    assert {point for point in points if point[0] >= 3} == {
        (x, y) for x in (3, 4) for y in (1, 2, 3, 4)
    }
    assert len(points) == len(set(points))


def test_a_widened_grid_has_all_its_new_points():
    study = grid({"x": Float(0, 1), "y": Choice(["a", "b"])}, count=3)
    assert len(trained(study)) == 6
    study.steer.space({"x": Float(0, 3), "y": Choice(["a", "b"])})
    points = trained(study)
    assert {(x, y) for x in (0.0, 1.5, 3.0) for y in "ab"} <= set(points)


@pytest.mark.parametrize("searcher", ["random", "tpe", "auto"])
def test_a_batch_larger_than_a_small_space_repeats_nothing(searcher):
    study = luthier.open(
        "s",
        {"x": Int(1, 3), "y": Choice(["a", "b"])},
        minimize="loss",
        searcher=searcher,
        storage="memory",
    )
    trials = study.ask(16)
    assert len({(t["x"], t["y"]) for t in trials}) == len(trials) == 6
    for trial in trials:
        study.tell(trial, loss=float(trial["x"]))
    with pytest.raises(StudyFinished, match="all 6 configurations"):
        study.ask()


def test_what_is_enqueued_after_the_last_point_is_trained():
    study = grid(INTS)
    assert len(trained(study)) == 16
    study.enqueue({"x": 2, "y": 2})
    assert len(trained(study)) == 17


def test_a_grid_of_which_a_part_does_not_fit_into_memory_ends(tmp_path):
    def train(trial):
        if trial["batch_size"] >= 64:
            raise MemoryError("out of memory")
        return trial["rate"]

    space = {"batch_size": Choice([16, 32, 64, 128]), "rate": Choice([0.1, 0.01])}
    study = luthier.open(
        "s", space, minimize="loss", searcher="grid", halve="batch_size", storage=tmp_path / "s.db"
    )
    work(study, train)
    assert len(study.trials) <= 8
    points = {(t.configuration["batch_size"], t.configuration["rate"]) for t in study.trials}
    assert {(size, rate) for size in (16, 32) for rate in (0.1, 0.01)} <= points


def test_code_that_settles_on_other_values_ends_with_as_many_trials_as_points():
    study = grid({"a": Int(1, 4), "b": Int(1, 4)})
    work(study, lambda trial: trial.hp.int("a", 1, 4) + trial.hp.int("b", 1, trial.hp["a"]))
    assert len(study.trials) == 16
