"""Surrogates of several budgets, blended by how they rank the longest trainings."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from luthier.run.simulation import simulate
from luthier.search import transfer
from luthier.search.auto import Auto
from luthier.search.columns import columns_of
from luthier.search.models import Models
from luthier.search.observations import observe
from luthier.space import Float, Space
from luthier.study.chance import Chance

SPACE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))


def studied(curve, scheduler="asha", **options):
    return simulate(
        curve, SPACE, minimize="loss", searcher="sobol", scheduler=scheduler, workers=1,
        **{"epochs": 9, "max_trials": 60, **options},
    ).study  # fmt: skip


def alike(c, step):
    return (c["x"] - 0.3) ** 2 + (c["y"] - 0.6) ** 2 + 1 / step


def turned(c, step):
    """Return what is good early and bad late in x."""
    late = (step - 1) / 8
    return late * (c["x"] - 0.2) ** 2 + (1 - late) * (c["x"] - 0.9) ** 2 + 0.1 / step


def test_the_budgets_are_those_of_rungs_each_with_half_as_many_trials():
    levels = observe(studied(alike).history, SPACE).levels
    assert [level.step for level in levels] == [1, 3, 9]
    counts = [len(level.numbers) for level in levels]
    assert counts[0] == 60
    assert all(2 * after <= before for before, after in itertools.pairwise(counts))
    for level in levels:
        assert np.isfinite(level.losses).all()


def test_a_loss_of_a_level_is_the_best_by_its_step():
    study = studied(alike)
    seen = observe(study.history, SPACE)
    for level in seen.levels:
        known = [study.trials[number] for number in level.numbers]
        expected = [
            min(loss for at, loss in zip(t.steps, t.losses, strict=True) if at <= level.step)
            for t in known
        ]
        assert level.losses == pytest.approx(expected)


def test_trials_of_one_length_have_no_levels():
    seen = observe(studied(alike, scheduler=None, max_trials=10).history, SPACE)
    assert seen.levels == ()


@pytest.mark.parametrize(("curve", "best"), [(alike, 0.3), (turned, 0.2)])
def test_the_blend_follows_the_longest_trainings(curve, best):
    """Early losses help where they rank alike, and are outweighed where they mislead."""
    study = studied(curve, scheduler="hyperband", epochs=9, max_trials=None, max_epochs=700)
    columns = columns_of(SPACE)
    terms, _ = Models(observe(study.history, SPACE), columns).terms()
    xs = np.linspace(0, 1, 41)
    places = np.column_stack([xs, np.full(41, 0.6)])
    mean, variance = terms[0].objective.predict(columns.features(places))
    assert abs(xs[mean.argmin()] - best) < 0.15
    assert (variance > 0).all()


def test_of_four_proposals_one_is_random_and_two_the_processes():
    study = studied(alike)
    searcher = Auto()
    said = []
    for number in range(60, 64):
        searcher.propose(study.history, SPACE, number, Chance(0, ("trial", number)))
        said.append(searcher._chosen(study.history, SPACE, number)[1].split(":")[0])
    assert said == ["random", "Gaussian processes", "kernel densities", "Gaussian processes"]


def test_a_process_is_weighed_by_what_it_was_not_told(monkeypatch):
    """Pending trials are at its own expectations, from which it would foretell its observations."""
    found, weights = [], transfer._weights
    monkeypatch.setattr(
        transfer, "_weights", lambda *given: (found.append(weights(*given)), found[-1])[1]
    )
    study = studied(alike, max_trials=40)
    seen, columns = observe(study.history, SPACE), columns_of(SPACE)
    pending = np.random.default_rng(0).random((40, 2))
    alone, waiting = (
        Models(replace(seen, pending=places), columns)._objective(0, np.arange(len(seen.losses)))
        for places in (pending[:0], pending)
    )
    assert found[0] == found[1]
    features = columns.features(pending)
    means, variances = zip(*(each.predict(features) for each in (alone, waiting)), strict=True)
    assert means[1] == pytest.approx(means[0], abs=1e-3)
    assert (variances[1] < variances[0]).all()
