"""BOHB's whole trace against its paper: Falkner, Klein & Hutter 2018, Algorithms 1 and 2 and section 4.2."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from luthier import schedule
from luthier.run.simulation import simulate
from luthier.search import BOHB
from luthier.space import Float, Space
from luthier.study import events as ev
from luthier.study.chance import Chance
from luthier.study.history import History
from luthier.study.log import read_log

PLANE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))
ENOUGH = 2 + 3  # N_min + 2, of which N_min = d + 1


def bowl(c, step):
    return (c["x"] - 0.7) ** 2 + (c["y"] - 0.2) ** 2 + 0.3 * math.sin(30 * c["x"]) / step


def algorithm_1(loss, epochs, factor, iterations):
    """Yield (trial, from, to): Hyperband's brackets, over and over, with one worker."""
    s_max, first = round(math.log(epochs, factor)), 0
    for _ in range(iterations):
        for s in range(s_max, -1, -1):
            count = math.ceil((s_max + 1) * factor**s / (s + 1))
            members = list(range(first, first + count))
            first += count
            for i in range(s + 1):
                to = epochs // factor ** (s - i)
                before = epochs // factor ** (s - i + 1) if i else 0
                if i:
                    members.sort(key=lambda t: (loss(t, before), t))
                    members = members[: count // factor**i]
                yield from ((t, before, to) for t in members)


def algorithm_2(history, ends):
    """Return places of good and bad trials at the largest budget that has enough; None without one."""
    for budget in sorted(ends, reverse=True):
        arrived = [t for t in history.trials if t.step >= budget]
        if len(arrived) >= ENOUGH:
            arrived.sort(key=lambda t: (t.losses[budget - 1], t.number))
            points = np.array([[t.configuration["x"], t.configuration["y"]] for t in arrived])
            good = max(ENOUGH - 2, int(0.15 * len(points)))  # equation 3
            return points[:good], points[-max(ENOUGH - 2, len(points) - good) :]
    return None


def log_density(points, widths, at):
    """Return the logarithm of the density at *at* (n, 2): products of normals, cut at the cube's faces."""
    scaled = (at[:, None, :] - points) / widths
    inside = np.vectorize(math.erf)(np.stack([points, 1 - points]) / widths / math.sqrt(2)).sum(0)
    return logsumexp((-0.5 * scaled**2 - np.log(widths * inside)).sum(axis=2), axis=1)


def widths(points):
    """Return the normal reference rule's."""
    return np.maximum(1.06 * points.std(axis=0) * len(points) ** (-1 / 6), 1e-3)


def share_below(proposal, good, bad, generator):
    """Return which share of 64 draws from l, three times as wide, have a smaller l/g than *proposal*."""
    centres = good[generator.integers(len(good), size=4000)]
    drawn = centres + 3 * widths(good) * generator.normal(size=centres.shape)
    drawn = drawn[((drawn >= 0) & (drawn <= 1)).all(axis=1)][:64]
    every = np.concatenate([drawn, [proposal]])
    ratios = log_density(good, widths(good), every) - log_density(bad, widths(bad), every)
    return float((ratios[:-1] < ratios[-1]).mean())


def test_one_worker_follows_the_algorithms():
    study = simulate(
        bowl, PLANE, minimize="loss", workers=1, scheduler=schedule.BOHB(27, iterations=2)
    ).study
    kept, jobs, ranks, kinds = History(), [], [], []
    generator = np.random.default_rng(0)
    for number, event in read_log(study.store, study.name):
        if isinstance(event, ev.JobLeased):
            jobs.append((event.trial, event.from_step, event.to_step))
        if isinstance(event, ev.TrialProposed):
            chance = Chance(study.seed, ("trial", event.trial, "configuration"))
            model = algorithm_2(kept, (1, 3, 9, 27))
            by_chance = chance.uniform("at random") < 1 / 3  # ρ
            drawn = BOHB(at_random=1.0).propose(kept, PLANE, event.trial, chance)
            assert (event.configuration == drawn) == (by_chance or model is None)
            kinds.append((by_chance, model is None))
            if not by_chance and model is not None:
                proposal = [event.configuration["x"], event.configuration["y"]]
                ranks.append(share_below(proposal, *model, generator))
        kept.apply(number, event)
    reported = [trial.losses for trial in study.trials]
    assert jobs == list(algorithm_1(lambda t, e: reported[t][e - 1], 27, 3, 2))
    assert set(kinds) >= {(True, False), (False, True), (False, False)}
    # The best of 64 draws is at 64/65 of them on the average.
    assert len(ranks) > 40
    assert np.mean(ranks) > 0.95
