"""A race takes numbers that are no trials of the search: who proposes later must not notice."""

from __future__ import annotations

import functools

import pytest
from told import proposal, told

import luthier as lt
from luthier.run.simulation import simulate
from luthier.search import BOHB, SEARCHERS, Auto, CoarseToFine, DifferentialEvolution, Grid
from luthier.search.widening import wider_since
from luthier.space import Choice, Float, Space
from luthier.study.chance import Chance
from luthier.study.searched import searched

SPACE = Space(
    x=Float(0.0, 1.0), y=Float(1e-3, 1.0, scale="log"), kind=Choice("a", "b"), z=Float(0.0, 1.0)
)
SEARCHING = {
    **{name: kind() for name, kind in SEARCHERS.items() if kind is not Grid},
    "longer rounds": CoarseToFine(trials=12),
    "small population": DifferentialEvolution(population=5),
}


def loss(configuration):
    c = configuration
    return (c["x"] - 0.3) ** 2 + (c["y"] - 0.1) ** 2 + 0.2 * (c["kind"] == "b") + 0.1 * c["z"]


def train(trial):
    trial.report(loss=loss(trial.configuration))


@functools.cache
def raced_and_not():
    """Return a study that went on after a race, and one of the same trials without the race."""
    raced = lt.open(
        "raced", SPACE, minimize="loss", searcher="random", scheduler=None, storage="memory"
    )
    for trials in (20, 28):
        result = lt.tune(
            train, SPACE, minimize="loss", searcher="random", scheduler=None, name="raced",
            max_trials=trials, finalists=2, repetitions=3, storage=raced.store, progress=False,
        )  # fmt: skip
    plain = told(SPACE, loss, 0)
    numbers = []
    for trial in result.trials:
        if trial.repeats < 0:
            plain.enqueue(dict(trial.configuration))
            plain.tell(plain.ask(), loss=loss(trial.configuration))
            numbers.append(trial.number)
    assert numbers != list(range(28))
    return result.study, plain


@pytest.mark.parametrize("name", SEARCHING)
def test_the_same_is_proposed_as_without_it(name):
    raced, plain = raced_and_not()
    for number in (28, 29):
        chance = Chance(0, ("trial", number, "configuration"))
        found = SEARCHING[name].propose(searched(raced.history), SPACE, number, chance)
        assert found == proposal(plain, SEARCHING[name], number)


@pytest.mark.parametrize("searcher", [Auto(), BOHB(), CoarseToFine()])
def test_what_is_said_of_the_next_proposal_is_said_without_it(searcher):
    study = simulate(
        lambda c, step: loss(c) + 1 / step, SPACE, minimize="loss", searcher="auto", scheduler="asha",
        epochs=9, max_trials=26, workers=1, finalists=2, repetitions=4,
    ).study  # fmt: skip
    history = study.history
    assert len(history.repetitions) % 4  # the turns of the default would be others
    line = searcher.explain(history, SPACE)
    assert line == searcher.explain(searched(history), SPACE)
    if isinstance(searcher, Auto):
        assert line.startswith("kernel densities")  # the turn of trial 26 of the search


def test_the_space_was_widened_after_trials_of_the_search():
    raced, _ = raced_and_not()
    raced.steer.space({**SPACE.domains, "x": Float(0.0, 2.0)})
    history = searched(raced.history)
    assert raced.history.changes[-1].first > len(history.trials) == 28
    assert wider_since(history, 28) == 28
