"""CMA-ES and differential evolution: replayed from the trials, and better than chance."""

from __future__ import annotations

import math
import random
import statistics
import sys

import numpy as np
import pytest
from told import best_after, proposal, told

import luthier as lt
from luthier.search import CMAES, DifferentialEvolution, cma_es
from luthier.search.differential_evolution import _population
from luthier.search.observations import observe
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.study.history import fold
from luthier.study.log import read_log

FIVE = Space({f"x{i}": Float(0, 1) for i in range(5)})
WHOLE = Space(a=Int(1, 9), b=Choice(["p", "q", "r"]), c=Bool(), d=Float(0, 1, step=0.25))


def ellipsoid(c):
    return sum(10 ** (i) * (c[f"x{i}"] - 0.3 - 0.08 * i) ** 2 for i in range(5))


def rastrigin(c):
    away = [c[f"x{i}"] - 0.35 - 0.06 * i for i in range(5)]
    return sum(1 - math.cos(8 * math.pi * x) + 20 * x**2 for x in away)


def median(objective, trials, searcher):
    return statistics.median(
        best_after(FIVE, objective, trials, searcher=searcher, seed=seed) for seed in range(10)
    )


@pytest.mark.parametrize(
    ("searcher", "objective", "trials", "share"),
    [
        ("cma_es", ellipsoid, 200, 0.15),
        ("differential_evolution", ellipsoid, 200, 0.15),
        ("differential_evolution", rastrigin, 300, 0.25),
    ],
)
def test_they_are_far_better_than_random_search(searcher, objective, trials, share):
    assert median(objective, trials, searcher) < share * median(objective, trials, "random")


@pytest.mark.parametrize("searcher", [CMAES(), DifferentialEvolution()])
@pytest.mark.parametrize("space", [FIVE, WHOLE], ids=["continuous", "discrete"])
def test_what_is_remembered_changes_nothing(searcher, space):
    """Four workers whose trials end out of order; a history that was just folded proposes the same."""
    study = told(space, lambda c: 1.0, 0, searcher=searcher, seed=3)
    order, running = random.Random(0), []
    for _ in range(60):
        running.append(study.ask())
        if len(running) == 4:
            trial = running.pop(order.randrange(4))
            value = sum(float(v) for v in trial.configuration.values() if not isinstance(v, str))
            study.tell(trial, loss=math.nan if value > 12 else (value - 2) ** 2)
        number = len(study.trials)
        fresh = fold(read_log(study.store, study.name))
        kept = proposal(study, searcher, number, seed=3)
        study.history, before = fresh, study.history
        assert proposal(study, searcher, number, seed=3) == kept
        study.history = before


def test_a_draw_is_told_as_it_was_drawn():
    """Between the values of a discrete hyperparameter CMA-ES learns from where it drew."""
    study = told(WHOLE, lambda c: c["a"], 40, searcher=CMAES(), seed=1)
    seen = observe(study.history, study.space)
    evolution = cma_es._kept[study.history]
    strategy = evolution.states[max(evolution.states)][0]
    assert strategy.generation == len(evolution.generations) > 2
    assert strategy.mean[0] < 0.3  # a is small
    assert len(seen.losses) == 40


def test_places_of_the_population_go_to_the_best_trial():
    study = told(FIVE, ellipsoid, 50, searcher=DifferentialEvolution(population=5))
    places, losses = _population(observe(study.history, study.space), 5)
    for row in range(5):
        mine = [t for t in study.trials if t.number % 5 == row]
        assert losses[row] == min(t.best_loss for t in mine)
    assert places.shape == (5, 5)


@pytest.mark.parametrize("searcher", ["cma_es", "differential_evolution"])
def test_one_hyperparameter(searcher):
    line = Space(x=Float(1e-4, 1, scale="log"))
    assert best_after(line, lambda c: math.log10(c["x"] / 0.01) ** 2, 50, searcher=searcher) < 1e-2


@pytest.mark.parametrize("searcher", ["cma_es", "differential_evolution"])
def test_several_objectives_and_a_bound(searcher):
    study = lt.open(
        f"bounded {searcher}", FIVE, minimize=["loss", "size"], subject_to="x <= 0.5",
        searcher=searcher, storage="memory",
    )  # fmt: skip
    for _ in range(120):
        trial = study.ask()
        c = trial.configuration
        study.tell(trial, loss=ellipsoid(c), size=c["x4"], x=c["x0"])
    late = [t.configuration["x0"] for t in study.trials[60:]]
    assert np.mean(np.array(late) <= 0.5) > 0.7
    assert len(study.front) > 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CMAES(population=1), "population must be a whole number of at least 2.*got 1"),
        (lambda: CMAES(initial=0), "initial.*got 0"),
        (lambda: DifferentialEvolution(population=3), "at least 4, or None, got 3"),
        (lambda: DifferentialEvolution(factor=0), "factor must be a number above 0 .* 2, got 0"),
        (lambda: DifferentialEvolution(crossover=1.5), r"crossover .* from 0 .* 1, got 1\.5"),
        (lambda: DifferentialEvolution(best=0), "best must be .*got 0"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(lt.StudyError, match=words):
        make()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(lt.StudyError, match=r'pip install "luthier\[search\]"'):
        told(FIVE, ellipsoid, 12, searcher="cma_es")
