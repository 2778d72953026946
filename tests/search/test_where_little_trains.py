"""Where most of a space cannot be trained, or runs out of memory, what is known of that guides the search."""

from __future__ import annotations

import math

import numpy as np
import pytest
from told import proposal

import luthier as lt
from luthier.search import SEARCHERS, Auto
from luthier.search.observations import observe
from luthier.search.trainable import beside_trained, tells
from luthier.space import Bool, Choice, Float, Int, Space
from luthier.study.chance import Chance

PLANE = Space(x=Float(0, 1), y=Float(0, 1))
FOUR = Space({f"x{i}": Float(0, 1) for i in range(4)})
MIXED = Space(
    rate=Float(1e-4, 1e-1, scale="log"),
    kind=Choice({"sgd": Space(momentum=Float(0.5, 0.99)), "adam": Space(), "rms": Space()}),
    units=Int(1, 300, scale="log"),
    flag=Bool(),
)


def trains(c, share=0.05):
    """Return whether *c* lies in the *share* of the cube that is nearest to its middle."""
    return all(abs(x - 0.5) <= share ** (1 / len(c)) / 2 for x in c.values())


def opened(space, searcher, seed=0, **options):
    return lt.open(
        "little", space, minimize="loss", searcher=searcher, seed=seed, storage="memory", **options
    )


def lost(study, count, seed=0, value=math.nan):
    """Have the defaults train, and *count* random configurations not."""
    study.tell(study.ask(), loss=1.0)
    generator = np.random.default_rng(seed)
    while len(study.trials) <= count:
        c = study.space.sample(lambda _: generator.random())
        if study.space.dimension > 4 or not trains(c):
            study.enqueue(c)
            study.tell(study.ask(), loss=value)


@pytest.mark.parametrize("space", [PLANE, FOUR], ids=["plane", "four"])
@pytest.mark.parametrize("searcher", ["auto", "gaussian_process", "tpe"])
def test_most_proposals_train_though_a_twentieth_of_the_space_does(searcher, space):
    found = []
    for seed in range(8):
        study = opened(space, searcher, seed)
        lost(study, 12, seed)
        own = SEARCHERS[searcher]()
        found += [trains(proposal(study, own, number, seed)) for number in range(13, 21)]
    assert np.mean(found) > 0.6


def test_a_study_that_begins_so_trains_more_often_than_not():
    study = opened(FOUR, "auto")
    for _ in range(45):
        trial = study.ask()
        c = trial.configuration
        bowl = sum((x - 0.55) ** 2 for x in c.values())
        study.tell(trial, loss=bowl if trains(c) else math.nan)
    assert sum(trains(trial.configuration) for trial in study.trials[13:]) > 16


def test_any_kind_of_hyperparameter_is_moved_and_nothing_is_tried_twice():
    study = opened(MIXED, "auto")
    study.tell(study.ask(), loss=1.0)
    for kind, rate in [("adam", 1e-4), ("rms", 1e-1), ("adam", 1e-1), ("rms", 1e-4)]:
        study.enqueue({"rate": rate, "kind": kind, "units": 300, "flag": True})
        study.tell(study.ask(), loss=math.nan)
    seen, tried = observe(study.history, MIXED), [t.configuration for t in study.trials]
    found = [
        beside_trained(seen, study.history, MIXED, Chance(0, ("trial", number)))
        for number in range(60)
    ]
    assert all(MIXED.check(c) == c and c not in tried for c in found)
    kinds = [c["kind"] for c in found]
    assert 35 < kinds.count("sgd") < 60  # as the defaults have it
    assert len({c["units"] for c in found}) > 10
    assert {c["flag"] for c in found} == {True, False}


def test_too_little_is_known_of_a_few_accidents():
    study = opened(PLANE, "gaussian_process")
    lost(study, 2)
    seen = observe(study.history, PLANE)
    assert not tells(seen)
    assert beside_trained(seen, study.history, PLANE, Chance(0)) is None
    assert not tells(observe(opened(PLANE, "tpe").history, PLANE))


def test_the_default_says_so():
    study = opened(PLANE, "auto")
    lost(study, 2)
    asked = [study.ask() for _ in range(3)]
    told_of = Auto().explain(study.history, PLANE)
    assert told_of == "quasi-random: a Gaussian process needs two trials with a value, not 1"
    for trial in asked:
        study.tell(trial, loss=math.nan)
    told_of = Auto().explain(study.history, PLANE)
    assert told_of.startswith("nearer to what trained than to what did not: ")


def test_the_default_does_not_tell_of_steps_that_it_does_not_make():
    study = opened(FOUR, "auto")
    assert "one at a time: up to trial 4" in Auto().explain(study.history, FOUR)
    study.ask(64)  # all of them before the first result: there is nothing to step from
    assert Auto().explain(study.history, FOUR).startswith("quasi-random: a Gaussian process needs")
    study = opened(FOUR, "auto")
    study.tell(study.ask(), loss=math.nan)  # round such defaults nothing is learned by steps
    assert Auto().explain(study.history, FOUR).startswith("quasi-random: the first 5 trials")


@pytest.mark.parametrize("searcher", ["sobol", "halton"])
def test_a_sequence_goes_on_elsewhere_where_its_point_would_run_out_of_memory(searcher):
    space = Space(batch_size=Int(8, 512, scale="log"), rate=Float(0, 1))
    study = opened(space, searcher)
    smallest, again = math.inf, 0
    for _ in range(24):
        trial = study.ask()
        size = trial["batch_size"]
        again += size >= smallest
        if size > 64:
            smallest = min(size, smallest)
            study.fail(trial, "out of memory", "no memory")
        else:
            study.tell(trial, loss=trial["rate"])
    assert smallest < math.inf
    assert again == 0
