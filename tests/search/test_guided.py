"""What holds of every searcher that learns from the trials."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from told import MIXED, bowl, proposal, told

import luthier as lt
from luthier.errors import SpaceError
from luthier.run.simulation import simulate
from luthier.search import SEARCHERS, GaussianProcess, Grid, Halton, RandomSearch, Sobol
from luthier.search.columns import columns_of
from luthier.search.models import Models, _fitted, _milestone
from luthier.search.observations import observe
from luthier.space import Bool, Choice, Constant, Float, Int, Space

sys.path.insert(0, str(Path(__file__).parent.parent / "space"))
from strategies import spaces

GUIDED = [
    name for name, kind in SEARCHERS.items() if kind not in (RandomSearch, Sobol, Halton, Grid)
]

BY_RANK = ("cma_es", "differential_evolution")  # which model no feasibility

SPACE = Space(MIXED)


@pytest.mark.parametrize("name", GUIDED)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(spaces(), st.booleans(), st.integers(0, 40), st.integers(0, 1000))
def test_proposals_lie_in_the_space(name, space, constrained, trials, seed):
    space = bounded(space) if constrained else space
    try:
        if name == "stages":  # without a stage it draws at random
            study = told(space, bowl, trials // 4, name, seed=seed)
        else:
            study = told(space, bowl, trials, seed=seed)
        configuration = proposal(study, SEARCHERS[name](), seed=seed)
    except SpaceError:  # constraints that leave nothing: see test_searchers
        return
    assert space.check(configuration) == configuration


def bounded(space):
    """Return *space* with a constraint on its first number that is always active, if it has one."""
    for name, domain in space.domains.items():
        plain = name.isascii() and name.isidentifier()
        if plain and isinstance(domain, Float | Int) and not domain.condition:
            return Space(space.domains, constraints=[f"{name} <= {domain.decode(0.7)!r}"])
    return space


def leading(name):
    """Return the searcher of a study in which *name* is asked: stages are begun by their own alone."""
    return name if name == "stages" else "random"


FRESH = """
import json, sys
sys.path.insert(0, {here!r})
from test_guided import *
study = told(SPACE, bowl, 45, leading({name!r}), seed=3)
proposal(study, SEARCHERS[{name!r}](), number=7)  # no proposal may depend on those before it
print(json.dumps([proposal(study, SEARCHERS[{name!r}](), number=n) for n in (46, 45)]))
"""


@pytest.mark.parametrize("name", GUIDED)
def test_a_fresh_process_proposes_the_same(name):
    code = FRESH.format(here=str(Path(__file__).parent), name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    study = told(SPACE, bowl, 30, leading(name), seed=3)
    for _ in range(15):  # and no proposal on how the history came
        proposal(study, SEARCHERS[name]())
        trial = study.ask()
        study.tell(trial, loss=bowl(trial.configuration))
    here = [proposal(study, SEARCHERS[name](), number=n) for n in (45, 46)]
    assert json.loads(done.stdout) == here[::-1]


@pytest.mark.parametrize("name", GUIDED)
def test_pending_trials_are_not_proposed_again(name):
    space = Space(x=Float(0, 1), y=Float(0, 1))
    study = told(space, lambda c: (c["x"] - 0.3) ** 2 + c["y"], 30, searcher=name)
    asked = [study.ask().configuration for _ in range(8)]
    assert len({tuple(c.values()) for c in asked}) == 8


def test_a_batch_is_spread_where_the_loss_is_all_but_known():
    # A process is soon sure of a parabola: what is left to gain lies all in one place.
    space = Space(x=Float(0, 1), y=Float(0, 1))
    study = lt.open("s", space, minimize="loss", storage="memory", seed=0)
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, loss=(trial["x"] - 0.3) ** 2 + (trial["y"] - 0.6) ** 2)
    places = [[t["x"], t["y"]] for t in (study.ask() for _ in range(16))]
    for number, (x, y) in enumerate(places):
        assert all(max(abs(x - a), abs(y - b)) > 0.01 for a, b in places[:number])


@pytest.mark.parametrize("name", GUIDED)
def test_constraints_hold(name):
    space = Space(x=Float(0, 1), y=Float(0, 1), constraints=["x + y <= 0.6"])
    study = told(space, lambda c: -c["x"] - c["y"], 30, searcher=name)
    assert all(t.configuration["x"] + t.configuration["y"] <= 0.6 for t in study.trials)


# A third of BOHB's trials is random, and its kernels are as wide as the good trials lie apart.
@pytest.mark.parametrize("name", [name for name in GUIDED if name != "bohb"])
@pytest.mark.parametrize("optimum", [0.02, 0.005, 0.001])
def test_a_cliff_is_learned_and_its_edge_is_searched(name, optimum):
    space = Space(rate=Float(1e-5, 10, scale="log"))

    def loss(configuration):
        rate = configuration["rate"]
        return math.nan if rate > 0.03 else math.log10(rate / optimum) ** 2

    study = told(space, loss, 60, searcher=name, seed=1)
    diverged = [t.state == "diverged" for t in study.trials]
    assert sum(diverged[-40:]) <= (12 if name in BY_RANK else 6)
    assert math.sqrt(study.best_value) < 0.06  # 1 % of the six decades


@pytest.mark.parametrize("name", GUIDED)
def test_all_trials_diverged_so_far(name):
    space = Space(x=Float(0, 1), y=Choice("a", "b"))
    study = told(space, lambda _: math.nan, 25, searcher=name)
    assert len({tuple(t.configuration.values()) for t in study.trials}) == 25


@pytest.mark.parametrize("name", GUIDED)
def test_what_failed_is_not_proposed_again(name):
    """An error that the caller caught comes again, so it teaches as a divergence does."""
    space = Space(x=Float(0, 1))
    study = lt.open(
        f"failed {name}", space, minimize="loss", searcher=name, seed=1, storage="memory"
    )
    for _ in range(40):
        trial = study.ask()
        if trial["x"] > 0.5:
            study.fail(trial, "failed", "no such net")
        else:
            study.tell(trial, loss=-trial["x"])
    places = [trial.configuration["x"] for trial in study.trials]
    assert len(set(places)) >= 39
    assert study.best.configuration["x"] > 0.4


@pytest.mark.parametrize("scheduler", [None, "asha"])
@pytest.mark.parametrize("name", GUIDED)
def test_a_changed_space_goes_on_from_the_old_trials(name, scheduler):
    space = Space(
        x=Float(0, 10), y=Float(0, 1), kind=Choice("a", "b", "c"), rate=Float(1e-3, 1, scale="log")
    )

    def curve(c, step):
        return (c["x"] - 9) ** 2 + c["y"] + (c["kind"] == "b") + 1 / step

    study = simulate(
        curve, space, minimize="loss", searcher=leading(name), scheduler=scheduler, epochs=9,
        max_trials=40, workers=2, seed=2,
    ).study  # fmt: skip
    for change in (
        {"x": Float(5, 20), "more": Float(0, 1)},  # wider, and another one
        {"kind": Choice("a", "d"), "y": Constant(0.5)},  # options gone, one new; one fixed
        {"x": Float(8.5, 9.5), "kind": Choice("a", "b", "c", "d")},  # nearly all trials are outside
    ):
        study.steer.space({**study.space.domains, **change})
        for number in range(40, 44):  # the turns of the default
            found = proposal(study, SEARCHERS[name](), number)
            assert study.space.check(found) == found
            assert set(found) >= {"x", "y", "kind", "rate", "more"}
    assert found["y"] == 0.5


@pytest.mark.parametrize("name", GUIDED)
def test_a_finite_space_is_not_tried_twice_before_it_is_known(name):
    space = Space(x=Int(1, 5), y=Choice("a", "b", "c"), z=Bool())
    study = told(space, lambda c: c["x"] + (c["y"] == "b"), 25, searcher=name)
    tried = {tuple(t.configuration.values()) for t in study.trials}
    assert len(tried) >= 24


def test_where_training_is_possible_is_learned_again_at_milestones_only():
    space = Space({name: Float(0.0, 1.0) for name in "abc"})

    def loss(c):
        return math.nan if c["a"] > 0.9 else sum((v - 0.3) ** 2 for v in c.values())

    study = told(space, loss, 30)
    study.enqueue({"a": 0.99, "b": 0.1, "c": 0.1})
    study.tell(study.ask(), loss=math.nan)
    diverged = sum(t.state == "diverged" for t in study.trials)
    assert 2 <= diverged <= 8
    misses = _fitted.cache_info().misses
    for _ in range(40):
        configuration = proposal(study, GaussianProcess())
        study.enqueue(configuration)
        study.tell(study.ask(), loss=loss(configuration))
    more = sum(t.state == "diverged" for t in study.trials) - diverged
    passed = len({_milestone(count) for count in range(31 - diverged, 71)})
    assert _fitted.cache_info().misses - misses <= 2 * passed + more


def test_the_first_divergences_are_learned_from_at_once():
    space = Space({name: Float(0.0, 1.0) for name in "ab"})
    study = told(space, lambda c: c["a"], 18)  # of which a milestone is far
    for b in (0.2, 0.8):
        study.enqueue({"a": 0.05, "b": b})
        study.tell(study.ask(), loss=math.nan)
        seen = observe(study.history, space)
        _, labels = Models(seen, columns_of(space))._feasibility_until_milestone()
        assert (labels > 0).sum() == len(seen.infeasible)


def test_every_other_proposal_of_the_process_lies_near_the_best():
    space = Space({name: Float(0.0, 1.0) for name in "abcdef"})
    study = told(space, lambda c: sum((v - 0.3) ** 2 for v in c.values()), 20)
    best = space.encode(study.history.best.configuration)
    away = []
    for number in range(20, 30):
        found = proposal(study, GaussianProcess(), number)
        away.append(abs(space.encode(found) - best).max())
    assert max(away[1::2]) <= 0.2 + 1e-9
    assert max(away[::2]) > 0.2


def begun(space, name, **settings):
    return lt.open(name, space, minimize="loss", storage="memory", **settings)


def test_first_trials_change_one_hyperparameter_each_from_the_best():
    space = Space(
        rate=Float(1e-5, 1e-1, scale="log", default=1e-4),
        width=Int(16, 512),
        decay=Float(0, 1),
        kind=Choice("a", "b", "c"),
        layers=Int(1, 3),
    )
    for seed in range(5):
        study = begun(space, f"steps-{seed}", seed=seed)
        changed, best = [], None
        for number in range(6):
            trial = study.ask()
            if number == 0:
                assert trial.configuration == space.default()
            else:
                [name] = [k for k, v in trial.configuration.items() if v != best[1][k]]
                changed.append(name)
                if name != "kind":
                    places = [space.domains[name].encode(c[name]) for c in (trial, best[1])]
                    # Integers move to whole numbers: three of them are a third of the range apart.
                    assert abs(places[0] - places[1]) == pytest.approx(0.25, abs=0.1)
            loss = float(space.encode(trial.configuration).sum())
            study.tell(trial, loss=loss)
            if best is None or loss < best[0]:
                best = loss, trial.configuration
        assert sorted(changed) == sorted(space.searched)


def test_many_workers_and_short_trainings_begin_quasi_random():
    space = Space({name: Float(0.0, 1.0) for name in "abcd"})
    parallel = begun(space, "parallel").ask(12)
    away = [sum(v != 0.5 for v in t.configuration.values()) for t in parallel]
    assert away == [0, 1, 1, 1, 1] + [4] * 7
    halved = begun(space, "halved", epochs=27).ask(5)
    assert [sum(v != 0.5 for v in t.configuration.values()) for t in halved] == [0, 4, 4, 4, 4]


def test_first_trials_keep_the_constraints_and_what_is_active():
    space = Space(
        layers=Int(1, 9),
        extra=Float(0, 1, default=0.9).when(layers=[6, 7, 8, 9]),
        x=Float(0, 1),
        constraints=["x < 0.2 or x > 0.4"],
    )
    extras = set()
    for seed in range(20):
        study = told(space, bowl, 4, searcher="auto", seed=seed)
        for trial in study.trials:
            assert space.check(trial.configuration) == trial.configuration
            extras.add(trial.configuration.get("extra"))
    assert {None, 0.9} < extras
