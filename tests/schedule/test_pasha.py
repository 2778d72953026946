"""PASHA against Algorithm 1 of its paper, and what a decision costs."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from driving import UNIT, simulate, study_of

from luthier.run.simulation import heavy_tailed
from luthier.run.simulation import simulate as simulated
from luthier.schedule import PASHA, pasha
from luthier.study.records import TrialState


def rung_ends(epochs, factor, minimum=1):
    """Return r, r η, r η² … and R."""
    s = math.floor(math.log(epochs / minimum, factor) + 1e-9)
    return sorted({max(minimum, round(epochs / factor ** (s - i))) for i in range(s + 1)})


def noise(curves):
    """Section 4.3: the 90th percentile of how far pairs are apart that cross and cross back."""
    apart = []
    for one, other in itertools.combinations(curves, 2):
        above = [a > b for a, b in zip(one, other, strict=True) if a != b]
        if sum(a != b for a, b in itertools.pairwise(above)) >= 2:
            apart.append(abs(one[-1] - other[-1]))
    return float(np.percentile(apart, 90)) if apart else 0.0


def algorithm_1(loss, epochs, factor, trials):
    """Bohdal et al. 2023, Algorithm 1, transcribed, with one worker: yield (trial, from, to).

    *loss* is a function of the trial and the epoch. Soft ranking as in section 4.2.
    """
    ends, top, begun = rung_ends(epochs, factor), 1, 0  # top: K_t
    rungs, promoted = [[] for _ in ends], [set() for _ in ends]

    def changed():
        above = sorted(rungs[top], key=lambda t: (loss(t, ends[top]), t))
        below = sorted(rungs[top], key=lambda t: (loss(t, ends[top - 1]), t))
        epsilon = noise([[loss(t, e) for e in range(1, ends[top] + 1)] for t in sorted(above)])
        return any(
            abs(loss(a, ends[top - 1]) - loss(b, ends[top - 1])) > epsilon
            for a, b in zip(above, below, strict=True)
        )

    while True:
        for k in range(top - 1, -1, -1):
            best = sorted(rungs[k], key=lambda t: (loss(t, ends[k]), t))
            able = [t for t in best[: len(best) // factor] if t not in promoted[k]]
            if able:
                trial, rung = able[0], k + 1
                promoted[k].add(trial)
                break
        else:
            if begun == trials:
                return
            trial, rung, begun = begun, 0, begun + 1
        yield trial, ends[rung - 1] if rung else 0, ends[rung]
        rungs[rung].append(trial)
        if rung == top and top + 1 < len(ends) and changed():
            top += 1


def crossing(x, step):
    return x + 0.5 * math.sin(40 * x) / step


def bumpy(x, step):
    return x + 0.1 * math.sin(40 * x) / step + 0.05 * random.Random(f"{x} {step}").gauss(0, 1)


def nearly_settled(x, step):
    return x + 1 / step + 0.01 * random.Random(f"{x} {step}").gauss(0, 1)


@pytest.mark.parametrize("curve", [crossing, bumpy, nearly_settled])
@pytest.mark.parametrize(("epochs", "factor"), [(81, 3), (32, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_one_worker_follows_the_algorithm(tmp_path, curve, epochs, factor, seed):
    trials = 40 if factor == 3 else 24  # no more in a rung than all pairs of which are looked at
    study = study_of(PASHA(epochs, factor), tmp_path, max_trials=trials, seed=seed)
    trace = simulate(study, 1, lambda c, step: curve(c["x"], step))
    places = [t.configuration["x"] for t in study.trials]
    assert trace == list(algorithm_1(lambda t, e: curve(places[t], e), epochs, factor, trials))


def test_a_rung_that_was_opened_stays_open(tmp_path):
    """With the third arrival noise would explain what the second one changed: K_t does not fall."""
    curves = {0: [0.10, 0.50, 0.30], 3: [0.15, 0.30, 0.20], 6: [0.12, 0.40, 0.90]}

    def loss(number, step):
        return curves.get(number, [0.5])[min(step, len(curves.get(number, [0]))) - 1]

    study = study_of(PASHA(9), tmp_path, max_trials=12)

    def by_place(configuration, step):
        (number,) = [t.number for t in study.trials if t.configuration == configuration]
        return loss(number, step)

    trace = simulate(study, 1, by_place)
    assert trace == list(algorithm_1(loss, 9, 3, 12))
    assert trace[trace.index((6, 1, 3)) + 1] == (3, 3, 9)


def test_it_stays_open_when_who_was_promoted_is_lost(tmp_path):
    curves = {0: [0.10, 0.50, 0.30], 3: [0.15, 0.30, 0.20, math.nan], 6: [0.12, 0.40, 0.90]}
    study = study_of(PASHA(27), tmp_path, max_trials=12)

    def by_place(configuration, step):
        (number,) = [t.number for t in study.trials if t.configuration == configuration]
        return curves.get(number, [0.5])[min(step, len(curves.get(number, [0]))) - 1]

    simulate(study, 1, by_place)
    assert study.trials[3].state is TrialState.DIVERGED
    assert max(t.step for t in study.trials) == 9


def test_an_arrival_costs_the_same_however_long_the_curves_are(monkeypatch):
    """Curves are compared where one of them is new among the best of the highest rung, and never again."""
    compared, before = [], pasha._swing

    def swing(one, other, up_to):
        compared.append((one.number, other.number, up_to))
        return before(one, other, up_to)

    monkeypatch.setattr(pasha, "_swing", swing)
    done = simulated(
        lambda c, step: nearly_settled(c["x"], step), UNIT, minimize="loss", workers=20,
        searcher="random", scheduler=PASHA(81), max_trials=200, epoch_seconds=heavy_tailed(10.0),
    )  # fmt: skip
    ends = rung_ends(81, 3)
    arrivals = sum(t.step >= end for t in done.study.trials for end in ends[1:])
    assert 0 < len(compared) < 30 * arrivals
    assert len(set(compared)) == len(compared)
