"""DEHB against a transcription of its paper's Algorithms 1 and 2, worker by worker the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driving import study_of

from luthier.errors import StudyError
from luthier.run.simulation import simulate
from luthier.schedule import DEHB, Hyperband
from luthier.space import Choice, Float, Space
from luthier.study.chance import Chance
from luthier.study.protocols import Limits
from luthier.study.records import TrialState

GOAL = dict(zip("abcdef", (0.7, 0.2, 0.5, 0.9, 0.35, 0.6), strict=True))
CUBE = Space(**{name: Float(0.0, 1.0) for name in GOAL})


def bowl(c, step):
    return sum((c[name] - at) ** 2 for name, at in GOAL.items()) + 0.3 / step


def point(configuration):
    return np.array([configuration[name] for name in GOAL])


class Transcribed:
    """Algorithm 1 with one worker. Random numbers are drawn in the same order, nothing else is shared."""

    def __init__(self, epochs, factor, minimum, seed, randoms):
        self.ladders = [
            [(r.trials, r.step) for r in b.rungs]
            for b in Hyperband(epochs, factor, minimum=minimum).plan(Limits()).brackets
        ]
        self.steps = sorted({step for ladder in self.ladders for _, step in ladder})
        self.size = {
            b: max(n for ladder in self.ladders for n, step in ladder if step == b)
            for b in self.steps
        }
        self.population = {
            b: Chance(seed, ("dehb", i)).generator().random((self.size[b], len(GOAL)))
            for i, b in enumerate(self.steps)
        }
        self.fitness = {b: np.full(self.size[b], np.inf) for b in self.steps}
        self.pointer = dict.fromkeys(self.steps, 0)
        self.seed, self.randoms = seed, randoms
        self.evaluated = []  # (trial, from, to), and the new trials' points
        self.points = []

    def run(self, iterations):
        for iteration in range(iterations):
            for number, ladder in enumerate(self.ladders):
                lower = []
                for i, (count, b) in enumerate(ladder):
                    if i and iteration == 0:
                        lower = sorted(lower)[:count]  # promoted
                        lower = [self.select(b, trial) for _, trial in lower]
                    else:
                        parents_of = b if i == 0 else ladder[i - 1][1]
                        lower = [
                            self.select(b, self.new(b, parents_of, count, iteration + number == 0))
                            for _ in range(count)
                        ]

    def new(self, b, lower, count, at_random):
        number = len(self.points)
        if at_random:
            self.points.append(self.randoms[number])
            return number
        generator = Chance(self.seed, ("trial", number, "configuration")).generator()
        target = self.population[b][self.pointer[b] % self.size[b]]
        order = np.argsort(self.fitness[lower], kind="stable")[:count]
        pool = self.population[lower][order]
        if len(pool) < 3:
            every = np.concatenate([self.population[b] for b in self.steps])
            more = generator.choice(len(every), 3 - len(pool) + 1, replace=False)
            pool = np.concatenate([pool, every[more]])
        r1, r2, r3 = pool[generator.choice(len(pool), 3, replace=False)]
        mutant = r1 + 0.5 * (r2 - r3)
        drawn = generator.random(len(mutant))
        mutant = np.where((mutant < 0) | (mutant > 1), drawn, mutant)
        crossed = generator.random(len(mutant)) < 0.5
        crossed[generator.integers(len(mutant))] = True
        self.points.append(np.where(crossed, mutant, target))
        return number

    def select(self, b, trial):
        before = max((to for t, _, to in self.evaluated if t == trial), default=0)
        self.evaluated.append((trial, before, b))
        loss = bowl(dict(zip(GOAL, self.points[trial], strict=True)), b)
        slot = self.pointer[b] % self.size[b]
        self.pointer[b] += 1
        if loss <= self.fitness[b][slot]:
            self.population[b][slot], self.fitness[b][slot] = self.points[trial], loss
        return loss, trial


@pytest.mark.parametrize(
    ("epochs", "factor", "minimum"), [(9, 3, 1), (27, 3, 1), (8, 2, 1), (36, 3, 4)]
)
def test_one_worker_follows_the_algorithms(epochs, factor, minimum):
    rules = DEHB(epochs, factor, iterations=3, minimum=minimum)
    done = simulate(bowl, CUBE, minimize="loss", workers=1, scheduler=rules, seed=4)
    trials = done.study.trials
    expected = Transcribed(epochs, factor, minimum, 4, [point(t.configuration) for t in trials])
    expected.run(3)
    np.testing.assert_allclose(
        [point(t.configuration) for t in trials], expected.points, atol=1e-12
    )
    furthest = {}
    for trial, _, to in expected.evaluated:
        furthest[trial] = to
    assert [t.step for t in trials] == [furthest[t.number] for t in trials]
    assert done.study.history.epochs == sum(to - since for _, since, to in expected.evaluated)
    assert done.study.history.epochs == rules.plan(Limits()).epochs


def test_better_than_hyperband_with_random_search():
    def found(scheduler, seed):
        options = {"minimize": "loss", "workers": 8, "epochs": 27, "max_epochs": 4000, "seed": seed}
        return simulate(bowl, CUBE, scheduler=scheduler, searcher="random", **options)

    seeds = range(3)
    bred = sorted(found("dehb", seed).study.best_value - 0.3 / 27 for seed in seeds)
    drawn = sorted(found("hyperband", seed).study.best_value - 0.3 / 27 for seed in seeds)
    assert bred[1] < 0.5 * drawn[1]


def test_who_ends_at_a_rung_below_the_last_was_not_trained_to_its_end():
    done = simulate(bowl, CUBE, minimize="loss", workers=2, scheduler=DEHB(9, iterations=3))
    trials = done.study.trials
    assert {t.step for t in trials if t.state is TrialState.COMPLETED} == {9}
    later = [t for t in trials if t.bracket > 2 and t.step < 9]
    assert {t.why for t in later} == {"its rung ends at epoch 1", "its rung ends at epoch 3"}


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_populations_too_small_to_breed(epochs):
    done = simulate(bowl, CUBE, minimize="loss", workers=2, scheduler=DEHB(epochs), max_trials=12)
    assert len(done.study.trials) == 12
    assert len({repr(t.configuration) for t in done.study.trials}) == 12


def test_limits_cut_it_cleanly():
    for limits in ({"max_trials": 70}, {"max_epochs": 300}, {"max_trials": 5}, {"max_epochs": 11}):
        done = simulate(
            bowl, CUBE, minimize="loss", workers=3, scheduler="dehb", epochs=9, **limits
        )
        history = done.study.history
        assert len(history.trials) <= limits.get("max_trials", math.inf)
        assert history.epochs <= limits.get("max_epochs", math.inf)
        assert not done.stuck
        assert history.epochs > 0.8 * limits.get("max_epochs", 0)
        assert len(history.trials) > 0.8 * limits.get("max_trials", 0)


def test_choices_conditions_and_divergence():
    space = Space(
        optimizer=Choice({"sgd": Space(momentum=Float(0.0, 1.0)), "adam": Space()}),
        rate=Float(1e-4, 1.0, scale="log"),
    )

    def loss(c, step):
        if c["rate"] > 0.05:
            return math.nan
        away = abs(math.log10(c["rate"]) + 2.0)
        return away + (abs(c["optimizer.sgd.momentum"] - 0.9) if c["optimizer"] == "sgd" else 0.5)

    done = simulate(
        loss, space, minimize="loss", workers=4, scheduler="dehb", epochs=9, max_trials=200
    )
    assert done.study.best_value < 0.2
    assert {t.configuration["optimizer"] for t in done.study.trials} == {"sgd", "adam"}


@pytest.mark.parametrize(
    "wrong", [{"mutation": 0}, {"crossover": 2}, {"iterations": 0}, {"factor": 1}]
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(StudyError, match=next(iter(wrong))):
        DEHB(9, **wrong)


def test_another_searcher_is_refused(tmp_path):
    with pytest.raises(StudyError, match="brings its own, 'random'"):
        study_of("dehb", tmp_path, searcher="tpe", epochs=9)


def test_what_is_bred_was_tried_in_no_earlier_bracket_either():
    space = Space(a=Choice(*range(30)), b=Choice(*range(40)), c=Float(0.0, 1.0, step=0.5))

    def loss(c, step):
        return abs(c["a"] - 11) + abs(c["b"] - 17) + c["c"] + 1 / step

    done = simulate(loss, space, minimize="loss", scheduler="dehb", epochs=9, max_trials=150)
    tried = [tuple(t.configuration.values()) for t in done.study.trials]
    bred = [i for i, t in enumerate(done.study.trials) if t.bracket > 0]
    assert len(bred) > 100
    assert not [i for i in bred if tried[i] in tried[:i]]


def test_where_nothing_new_can_be_bred_it_goes_on_all_the_same():
    space = Space(a=Choice(*range(4)), b=Choice(*range(4)))
    done = simulate(
        lambda c, step: c["a"] + c["b"] + 1 / step, space, minimize="loss", scheduler="dehb",
        epochs=9, max_trials=60,
    )  # fmt: skip
    assert len(done.study.trials) == 60
