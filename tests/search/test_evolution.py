"""CMA-ES and differential evolution: replayed from the trials, and better than chance."""

from __future__ import annotations

import functools
import itertools
import math
import random
import statistics

import cmaes
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from told import best_after, bowl, proposal, told

import luthier as lt
from luthier.run.simulation import simulate
from luthier.search import CMAES, DifferentialEvolution, cma_es, drawing
from luthier.search.columns import columns_of
from luthier.search.differential_evolution import _population
from luthier.search.observations import observe
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.study.chance import Chance
from luthier.study.history import fold
from luthier.study.log import read_log

FIVE = Space({f"x{i}": Float(0, 1) for i in range(5)})
WHOLE = Space(a=Int(1, 9), b=Choice(["p", "q", "r"]), c=Bool(), d=Float(0, 1, step=0.25))
MIXED = Space(
    x0=Float(0, 1),
    x1=Float(1e-4, 1, scale="log"),
    kind=Choice({"sgd": Space(momentum=Float(0.5, 0.99, scale="one_minus_log")), "adam": Space()}),
    width=Int(1, 300, scale="log"),
    depth=Int(1, 6),
    flag=Bool(),
)


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
@pytest.mark.parametrize("space", [FIVE, WHOLE, MIXED], ids=["continuous", "discrete", "mixed"])
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
        study._history, before = fresh, study.history
        assert proposal(study, searcher, number, seed=3) == kept
        study._history = before


def test_searchers_and_seeds_do_not_share_what_is_remembered():
    study = told(FIVE, ellipsoid, 60, searcher=CMAES(), seed=1)
    one, other = (proposal(study, CMAES(), seed=seed) for seed in (1, 2))
    assert one != other
    assert proposal(study, CMAES(population=4)) != proposal(study, CMAES(population=9))
    cma_es._kept.clear()
    assert [proposal(study, CMAES(), seed=seed) for seed in (2, 1)] == [other, one]


# -- CMA-ES ----------------------------------------------------------------------------------------


def state(study):
    """Return the newest strategy, how often it was restarted and how many trials it has used."""
    states = cma_es._kept[study.history].states
    return states[max(states)]


@functools.cache
def trials_of_eight_workers():
    """Return numbers, losses and places of the trials of a study, as they ended."""
    study, running = told(MIXED, bowl, 0, searcher=CMAES(), seed=5), []
    for _ in range(220):
        running.append(study.ask())
        if len(running) == 8:
            trial = running.pop(0)
            study.tell(trial, loss=bowl(trial.configuration))
    return cma_es._ended(study.history, observe(study.history, study.space))


@settings(max_examples=12, deadline=None, phases=[Phase.generate])  # shrinking takes minutes
@given(st.data())
def test_a_replay_from_anywhere_is_a_replay_from_the_beginning(data):
    """Losses that are corrected, trials that come and go: the newest states are kept, and used again."""
    numbers, losses, points = map(np.copy, trials_of_eight_workers())
    columns, total, start = columns_of(MIXED), len(numbers), points[0].copy()
    kept, chance = cma_es._Evolution(CMAES(), columns, start, 5), Chance(0, ("trial", 300))
    for _ in range(4):
        at, count = data.draw(st.integers(0, total - 1)), data.draw(st.integers(100, total))
        losses[at] = data.draw(st.sampled_from([-1.0, math.inf]))
        if data.draw(st.booleans()):
            order = np.r_[0:at, at + 1 : total, at]
            numbers, points, losses = numbers[order], points[order], losses[order]
        trials = numbers[8:count], losses[8:count].copy(), points[8:count]
        fresh = cma_es._Evolution(CMAES(), columns, start, 5)
        pairs = [e.axes.drawn(e.after(*trials), chance) for e in (kept, fresh)]
        np.testing.assert_array_equal(pairs[0][0], pairs[1][0])


@pytest.mark.parametrize("space", [FIVE, WHOLE, MIXED], ids=["continuous", "discrete", "mixed"])
def test_a_draw_is_told_as_it_was_drawn(space, monkeypatch):
    """Not where it was rounded to; also a draw of one of the last generations, with eight workers."""
    found = []

    def spy(axes, place, strategy, chance):
        draw = draw_at(axes, place, strategy, chance)
        if draw is not None:
            places, drawn = axes.drawn(strategy, chance)
            row = np.flatnonzero((drawn == draw).all(axis=1))[0]
            np.testing.assert_allclose(axes.columns.rounded(places)[row], place, atol=1e-8)
        found.append(draw is not None)
        return draw

    draw_at = drawing.Axes.draw_at
    monkeypatch.setattr(drawing.Axes, "draw_at", spy)
    study = told(space, bowl, 60, searcher=CMAES(), seed=1)
    first = min(12, max(4, len(space.searched) + 1))
    assert sum(found) >= 0.9 * (state(study)[2])
    assert state(study)[2] >= 60 - first - 16
    found.clear()
    running = []
    for _ in range(80):
        running.append(study.ask())
        if len(running) == 8:
            trial = running.pop(0)
            study.tell(trial, loss=bowl(trial.configuration))
    assert sum(found) > 50


def test_promotions_replay_little(monkeypatch):
    """Every report of a promoted trial changes its loss, and those that are carried by it."""
    told_generations, tell = [], cmaes.CMAwM.tell
    monkeypatch.setattr(cmaes.CMAwM, "tell", lambda s, x: (told_generations.append(x), tell(s, x)))

    def curve(c, step):
        away = sum((c[f"x{i}"] - 0.3 - 0.08 * i) ** 2 for i in range(5))
        return away + 0.5 * c["x0"] / step + 0.3 / step

    study = simulate(
        curve, FIVE, minimize="loss", searcher="cma_es", scheduler="asha", epochs=27, max_trials=220,
        workers=1,
    ).study  # fmt: skip
    assert 20 < len(told_generations) < 110
    fresh = fold(read_log(study.store, study.name))
    kept = proposal(study, CMAES())
    study._history = fresh
    assert proposal(study, CMAES()) == kept


def test_states_are_kept_ever_wider_apart():
    kept: set[int] = set()
    for newest in range(1000):
        kept = {g for g in {*kept, newest} if cma_es._is_kept(g, newest)}
        if newest % 200 == 199:
            for generation in range(newest + 1):
                at = max(g for g in range(generation + 1) if kept >= cma_es._before(g))
                assert generation - at <= max(0, (newest - generation) / 4)
    assert len(kept) < 250


def test_a_slow_trial_changes_nothing_of_what_was_learned_without_it():
    study = told(FIVE, ellipsoid, 12, searcher=CMAES())
    slow = study.ask()
    for _ in range(100):
        trial = study.ask()
        study.tell(trial, loss=ellipsoid(trial.configuration))
    before, strategy = (
        [list(g[0]) for g in cma_es._kept[study.history].generations],
        state(study)[0],
    )
    study.tell(slow, loss=ellipsoid(slow.configuration))
    proposal(study, CMAES())
    after = [list(g[0]) for g in cma_es._kept[study.history].generations]
    assert after[: len(before)] == before
    assert state(study)[0] is strategy or len(after) > len(before)
    assert len(before) >= 12


@pytest.mark.parametrize("space", [FIVE, MIXED], ids=["continuous", "mixed"])
def test_a_far_better_trial_from_elsewhere_pulls_gently(space):
    """Told as it is, it would be 500 deviations away and throw all away that was learned."""
    study = told(space, lambda c: (c["x0"] - 0.2) ** 2 + c["x1"], 300, searcher=CMAES(), seed=2)
    strategy = state(study)[0]
    before, mean = strategy._cma._sigma, strategy.mean[0]
    study.enqueue({**study.trials[-1].configuration, "x0": 0.97})
    for loss in [-9.0] + [1.0] * 30:
        study.tell(study.ask(), loss=loss)
    strategy, restarts, _ = state(study)
    assert restarts == 0
    assert strategy._cma._sigma < 3 * before
    assert strategy.mean[0] > mean
    assert proposal(study, CMAES())["x0"] < 0.5


def test_it_begins_when_the_first_trials_all_diverged():
    losses = itertools.chain([math.nan] * 15, itertools.repeat(1.0))
    study = told(FIVE, lambda c: next(losses) * ellipsoid(c), 150, searcher=CMAES())
    assert state(study)[2] > 100
    assert (
        cma_es._kept[study.history].start == list(study.trials[15].configuration.values())
    ).all()
    assert min(t.best_loss for t in study.trials[16:]) > study.best_value / 2 > 0
    assert study.best_value < 3


def test_trials_from_elsewhere_do_not_break_the_margin():
    """The mean of a Bool exactly between its values would make the package divide by zero."""
    study = told(Space(x=Float(0, 1), flag=Bool()), lambda c: c["x"], 400, seed=0)
    proposal(study, CMAES())
    strategy, _, used = state(study)
    assert used > 380
    assert (strategy._A > 0).all()
    assert np.isfinite(strategy.mean).all()


def test_it_starts_again_with_twice_the_population_when_it_has_converged():
    space = Space(x=Float(0, 1), y=Float(0, 1))
    study = told(space, lambda c: (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2, 450, searcher=CMAES())
    strategy, restarts, _ = state(study)
    assert restarts == 1
    assert strategy.population_size == 2 * 6
    assert study.best_value < 1e-14  # in deviations: 1e-7
    spread = np.std([list(t.configuration.values()) for t in study.trials[-20:]], axis=0)
    assert (spread > 0.01).all()


def test_a_value_from_elsewhere_is_told_where_it_would_have_been_drawn():
    study = told(WHOLE, bowl, 60, searcher=CMAES())
    (strategy, _, _), columns = state(study), columns_of(WHOLE)
    axes = drawing.axes_of(columns)
    for place in columns.rounded(np.random.default_rng(0).random((40, 4))):
        told_at = axes.nearest(place, strategy)
        reached = strategy.mean + (told_at - strategy.mean) * strategy._A
        inside = (np.abs(reached - place) < 0.49 * axes.steps) | (told_at == strategy.mean)
        assert inside.all()  # the edge itself belongs to two values


# -- differential evolution ------------------------------------------------------------------------


def test_options_are_inherited_and_nothing_leaves_the_space():
    space = Space(x=Float(0, 1), kind=Choice("a", "b", "c", "d", "e"))
    study = told(space, lambda c: 0.0, 0)
    for i in range(20):  # "b" and "d": arithmetic would find the "c" between them, and the ends
        study.enqueue({"x": float(i % 2), "kind": "bd"[i % 2]})
        study.tell(study.ask(), loss=float(i))
    seen, columns = observe(study.history, study.space), columns_of(study.space)
    for number in range(20, 40):
        generator = Chance(0, (number,)).generator()
        children = DifferentialEvolution()._children(seen, columns, 10, number, generator)
        assert set(children[:, 1]) <= {0.3, 0.7}
        assert (children[:, 0] >= 0).all()
        assert (children[:, 0] <= 1).all()
        assert len(set(children[:, 0])) > 3


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
        (lambda: CMAES(population=3), "population must be a whole number of at least 4.*got 3"),
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
