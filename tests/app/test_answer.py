"""The answer of a report and of a card: what it says of luck, and for how long it says to train."""

from __future__ import annotations

import random

import luthier as lt
from luthier.app.refit import best_epoch
from luthier.app.report import contents
from luthier.app.report.answering import chosen
from luthier.app.report.parts import Code, Items, Text
from luthier.insight.race import race
from luthier.study.history import History


def said(history: History, *headings: str) -> str:
    """Return the sentences and the code of these sections, as one text."""
    lines: list[str] = []
    for part in (p for s in contents(history).sections if s.heading in headings for p in s.parts):
        match part:
            case Text(text) | Code(text):
                lines.append(text)
            case Items(items):
                lines += items
            case _:
                pass
    return "\n".join(lines)


def lucky(trial):
    """The nearer x is to 0.3 the better; a seed's luck decides more, and when the best epoch is."""
    luck = random.Random(trial.seed)
    value, peak = abs(trial["x"] - 0.3) + luck.gauss(0, 0.1), luck.randint(1, 6)
    for epoch in trial.epochs():
        trial.report(loss=value + 0.001 * abs(epoch + 1 - peak))


def searched(**options) -> History:
    return lt.tune(
        lucky, {"x": lt.Float(0.0, 1.0)}, minimize="loss", epochs=6, searcher="random", scheduler=None,
        max_trials=20, storage="memory", progress=False, **options,
    ).study.history  # fmt: skip


def population() -> History:
    return lt.simulate(
        lambda c, step: abs(c["rate"] - 0.03 * step) + 1 / step, {"rate": lt.Float(0.1, 1.0)},
        minimize="loss", scheduler=lt.schedule.PopulationBasedTraining(20), searcher="random", seed=2,
    ).study.history  # fmt: skip


def test_a_race_says_what_it_found_of_the_best_value():
    history = searched(finalists=3, repetitions=4, seed=1)
    best, raced = history.best, race(history)
    assert best.number != raced.winner.trial
    told = said(history, "The answer")
    assert "which may have been lucky" in told
    assert "it was lucky" not in told
    (against,) = [
        s for s in raced.sentences if f"trial {best.number}:" in s or f"trial {best.number}," in s
    ]
    assert f"On new seeds: {against}." in told
    assert "expected to be better" not in told


def test_without_a_race_it_is_a_models_word_without_an_interval():
    history = searched()
    assert history.best is not chosen(history)
    told = said(history, "The answer")
    assert "which may have been lucky. By a model" in told
    assert "no interval" in told


def test_the_epochs_are_those_that_fit_trains():
    history = searched(finalists=3, repetitions=4, seed=2)
    trial = chosen(history)
    epochs = best_epoch(history, trial)
    assert epochs != trial.best_step
    assert f"\nepochs = {epochs}\n" in said(history, "Train it")


def test_of_a_population_the_best_member_is_the_answer():
    """A model sees the configuration with which a member ended, and its value is its schedule's."""
    history = population()
    assert chosen(history) is history.best
    assert "result.best" not in said(history, "The answer")


def test_a_population_is_not_told_to_race():
    told = said(population(), "The answer", "What to do next")
    assert "ace the best" not in told
    assert "luthier race" not in told
    assert "train its schedule again on other seeds" in told
    assert "luthier.schedule.Replay.of(study)" in told
