"""In a noisy study what promises most may be tried again: nobody draws at random because all was tried."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from told import proposal

import luthier as lt
from luthier.run.simulation import simulate
from luthier.search import Auto, CoarseToFine, RandomSearch
from luthier.search.observations import observe
from luthier.space import Int, Space

SMALL = Space(a=Int(1, 5), b=Int(1, 5))


def away(c):
    return 0.05 * ((c["a"] - 4) ** 2 + (c["b"] - 2) ** 2)


def noisy(searcher, space, loss, trials, seed=0):
    study = lt.open(
        "noisy", space, minimize="loss", searcher=searcher, noisy=True, seed=seed, storage="memory"
    )
    generator = np.random.default_rng(seed)
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, loss=loss(trial.configuration) + 0.1 * generator.standard_normal())
    return study


@pytest.mark.parametrize("searcher", ["tpe", "differential_evolution", "cma_es", "bohb"])
def test_good_ones_are_repeated_once_all_was_tried(searcher):
    late: list[float] = []
    for seed in range(3):
        trials = noisy(searcher, SMALL, away, 120, seed).trials[40:]
        late += [away(trial.configuration) for trial in trials]
        assert Counter(t["a"] + 10 * t["b"] for t in map(_values, trials)).most_common(1)[0][1] > 12
    assert np.mean(late) < 0.16  # of uniform draws it is 0.28


def _values(trial):
    return trial.configuration


def test_what_failed_is_not_repeated():
    study = noisy("tpe", SMALL, lambda c: np.nan if c["b"] == 2 else away(c), 100)
    lost = [(t["a"], t["b"]) for t in map(_values, study.trials) if t["b"] == 2]
    assert 0 < len(lost) == len(set(lost))


def test_coarse_to_fine_repeats_what_its_guided_search_repeats():
    """All that was tried before was replaced by a draw from anywhere in the space."""
    space = Space(a=Int(1, 64), b=Int(1, 16))
    searcher = CoarseToFine(trials=8)
    study = noisy(searcher, space, lambda c: ((c["a"] - 40) / 20) ** 2 + abs(c["b"] - 8) / 4, 50)
    guided = [(t["a"], t["b"]) for t in map(_values, study.trials[16:])]
    assert len(set(guided)) < len(guided)
    assert np.mean([abs(a - 40) for a, _ in guided]) < 6
    assert np.mean([abs(b - 8) for _, b in guided]) < 2


def test_the_random_quarter_keeps_what_it_draws():
    """All of the space was tried: what chance draws is not replaced by what chance draws next."""
    study = simulate(
        lambda c, step: away(c) + 1 / step, SMALL, minimize="loss", noisy=True, searcher="auto",
        scheduler="asha", epochs=9, max_trials=60, workers=1,
    ).study  # fmt: skip
    assert observe(study.history, SMALL).cut_short
    for number in range(60, 80, 4):
        assert "random: one in four" in Auto()._chosen(study.history, SMALL, number)[1]
        assert proposal(study, Auto(), number) == proposal(study, RandomSearch(), number)
