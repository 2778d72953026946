"""Searchers: the same proposals in every process, all of them in the space."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier
from luthier.errors import SpaceError, StudyError
from luthier.search import SEARCHERS, Grid, Halton, RandomSearch, Sobol, sobol
from luthier.search.sobol import MAX_DIMENSION as MAX
from luthier.search.sobol import points as _points
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.study.chance import Chance
from luthier.study.history import History

SPACE = Space(
    rate=Float(1e-4, 1e-1, scale="log"),
    optimizer=Choice(
        {"sgd": Space(momentum=Float(0.9, 0.999, scale="one_minus_log")), "adam": Space()}
    ),
    units=Int(8, 64, step=8),
    flag=Bool(prior=True),
    version=Constant("a"),
)
HISTORY = History()


def propose(searcher, space, number, seed=0):
    chance = Chance(seed, ("trial", number, "configuration"))
    return searcher.propose(HISTORY, space, number, chance)


FRESH = """
import json, sys
sys.path.insert(0, {here!r})
from test_searchers import SEARCHERS, SPACE, Grid, propose
searchers = [SEARCHERS["random"](), SEARCHERS["sobol"](), SEARCHERS["halton"](), Grid(2)]
# In another order than the test's: no proposal may depend on those before it.
print(json.dumps([[propose(s, SPACE, n, 5) for n in (70, 3, 0)] for s in searchers]))
"""


def test_a_fresh_process_proposes_the_same():
    code = FRESH.format(here=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    searchers = [RandomSearch(), Sobol(), Halton(), Grid(2)]
    here = [[propose(s, SPACE, n, 5) for n in (0, 3, 70)][::-1] for s in searchers]
    assert json.loads(done.stdout) == here


@pytest.mark.parametrize("name", ["random", "sobol", "halton"])
def test_seeds_and_numbers_make_a_difference(name):
    searcher = SEARCHERS[name]()
    drawn = [propose(searcher, SPACE, n, seed)["rate"] for n in range(20) for seed in range(20)]
    assert len(set(drawn)) == 400


@st.composite
def some_spaces(draw):
    made = {}
    for i in range(draw(st.integers(0, 5))):
        kind = draw(st.integers(0, 5))
        low, size = draw(st.integers(-50, 50)), draw(st.integers(1, 40))
        domain = [
            Float(low, low + size),
            Float(abs(low) + 1e-3, abs(low) + size, scale="log"),
            Int(low, low + size, prior=low),
            Choice(*range(size), "x"),
            Bool(),
            Constant(low),
        ][kind]
        parents = [k for k, d in made.items() if d.cardinality is not None]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            domain = domain.when(**{parent: made[parent].decode(draw(st.floats(0, 1)))})
        made[f"x{i}"] = domain
    return Space(made)


@settings(max_examples=60, deadline=None)
@given(some_spaces(), st.integers(0, 300), st.integers())
def test_proposals_lie_in_the_space(space, number, seed):
    for searcher in (RandomSearch(), Sobol()):
        configuration = propose(searcher, space, number, seed)
        assert space.check(configuration) == configuration
    configuration = propose(Grid(2), space, number)
    assert space.check(configuration) == configuration


# -- random ----------------------------------------------------------------------------------------


def test_random_draws_are_even():
    space = Space(x=Float(0, 1), y=Choice("a", "b"))
    drawn = [propose(RandomSearch(), space, n) for n in range(2000)]
    x = np.sort([c["x"] for c in drawn])
    assert np.abs(x - (np.arange(2000) + 0.5) / 2000).max() < 0.04  # Kolmogorov and Smirnov
    assert 900 < sum(c["y"] == "a" for c in drawn) < 1100
    assert abs(np.corrcoef([c["x"] for c in drawn], [c["y"] == "a" for c in drawn])[0, 1]) < 0.08


def test_a_new_hyperparameter_leaves_the_others_draws_alone():
    more = SPACE.with_domain("more", Float(0, 1))
    for number in range(20):
        before, after = (propose(RandomSearch(), s, number) for s in (SPACE, more))
        assert {k: after[k] for k in before} == before


# -- Sobol -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 4, 7])
def test_the_first_2_to_the_k_points_are_balanced_in_every_dimension(seed, k):
    space = Space({f"x{i}": Float(0, 1) for i in range(6)})
    points = [list(propose(Sobol(), space, n, seed).values()) for n in range(2**k)]
    for column in zip(*points, strict=True):
        assert sorted(int(x * 2**k) for x in column) == list(range(2**k))


def test_sobol_fills_the_square():
    space = Space(x=Float(0, 1), y=Float(0, 1))
    points = [propose(Sobol(), space, n) for n in range(64)]
    cells = [(int(p["x"] * 8), int(p["y"] * 8)) for p in points]
    assert len(set(cells)) == 64


def test_longer_sequences_begin_with_the_shorter_ones():
    short, long = _points(11, 5, 64), _points(11, 5, 512)
    np.testing.assert_array_equal(short, long[:64])


@pytest.mark.parametrize("seed", [0, 2**63 + 5])
@pytest.mark.parametrize(("dimension", "count"), [(1, 1), (2, 2), (6, 64), (40, 100), (MAX, 3)])
def test_the_points_are_those_of_scipy(dimension, count, seed):
    from scipy.stats import qmc

    engine = qmc.Sobol(dimension, scramble=True, rng=np.random.Generator(np.random.Philox(seed)))
    with warnings.catch_warnings(action="ignore"):  # of a count that is no power of two
        theirs = engine.random(count)
    np.testing.assert_array_equal(_points(seed, dimension, count), theirs)


def test_a_scipy_without_the_table_gives_the_same_points(monkeypatch):
    ours = _points(3, 5, 64)
    assert _points(3, 0, 4).shape == (4, 0)
    monkeypatch.setattr(sobol, "_TABLE", "stats/nowhere.npz")
    sobol._directions.cache_clear()
    _points.cache_clear()
    np.testing.assert_array_equal(_points(3, 5, 64), ours)


def test_sobol_goes_no_higher_than_its_direction_numbers():
    with pytest.raises(SpaceError, match="21201 hyperparameters, got 21202"):
        propose(Sobol(), Space({f"x{i}": Bool() for i in range(21_202)}), 0)


# -- constraints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", [RandomSearch(), Sobol(), Grid(9)])
def test_constraints_hold(searcher):
    space = Space(a=Float(0, 1), b=Float(0, 1), constraints=["a + b < 0.5", "b > a"])
    drawn = [propose(searcher, space, n) for n in range(50)]
    assert all(space.satisfies(c) for c in drawn)
    if not isinstance(searcher, Grid):
        assert len({c["a"] for c in drawn}) == 50


@pytest.mark.parametrize("searcher", [RandomSearch(), Sobol(), Grid(3)])
def test_constraints_that_leave_nothing_are_refused(searcher):
    space = Space(a=Float(0, 1), constraints=["a > 2"])
    with pytest.raises(SpaceError, match=r"\(a > 2\)\. Loosen them"):
        propose(searcher, space, 0)


# -- grid ------------------------------------------------------------------------------------------


def run_out(study):
    seen = []
    for _ in range(study.limits.trials):
        trial = study.ask()
        seen.append(trial.configuration)
        study.tell(trial, loss=1.0)
    with pytest.raises(StudyError, match="finished"):
        study.ask()
    return seen


def test_a_grid_study_takes_each_point_once_and_is_finished(tmp_path):
    space = Space(a=Int(1, 3), b=Choice("x", "y"), c=Float(0, 1).when(b="x"))
    study = luthier.open(
        "s", space, minimize="loss", searcher=Grid({"c": 2}), storage=tmp_path / "s"
    )
    assert run_out(study) == list(space.grid({"c": 2}))
    assert len(study.trials) == Grid({"c": 2}).size(space) == 9


def test_a_grid_study_refuses_what_has_no_end(tmp_path):
    with pytest.raises(SpaceError, match=r"Grid\(count=\{'x': 3}"):
        luthier.open(
            "s", Space(x=Float(0, 1)), minimize="loss", searcher="grid", storage=tmp_path / "s"
        )


def test_a_grid_study_with_nothing_left_is_refused(tmp_path):
    space = Space(a=Int(1, 3), constraints=["a > 3"])
    with pytest.raises(SpaceError, match="No point of the grid"):
        luthier.open("s", space, minimize="loss", searcher="grid", storage=tmp_path / "s")


def test_configurations_asked_for_by_hand_cost_the_grid_no_point(tmp_path):
    space = Space(a=Int(1, 5))
    study = luthier.open("s", space, minimize="loss", searcher="grid", storage=tmp_path / "s")
    study.enqueue({"a": 5})
    assert sorted(c["a"] for c in run_out(study)) == [1, 2, 3, 4, 5]


def test_a_grid_over_what_code_asks_for_takes_each_combination_once(tmp_path):
    """Of what the code does not ask for, a grid must not count the values."""

    def train(trial):
        a = trial.hp.int("a", 0, 3)
        b = trial.hp.int("b", 0, 2) if a > 1 else 0
        c = trial.hp.float("c", 0, 1, step=0.5) if b == 2 else 0
        return a + b + c

    result = luthier.tune(
        train, minimize="loss", searcher="grid", storage=tmp_path / "s.db", progress=False
    )
    found = [dict(trial.configuration) for trial in result.study.trials]
    expected = [{"a": a} for a in (0, 1)]
    for a in (2, 3):
        expected += [{"a": a, "b": b} for b in (0, 1)]
        expected += [{"a": a, "b": 2, "c": c} for c in (0.0, 0.5, 1.0)]
    assert sorted(map(str, found)) == sorted(map(str, expected))


@pytest.mark.parametrize("max_trials", [None, 7])
def test_a_grid_over_what_code_asks_for_repeats_nothing_within_a_limit(max_trials):
    def train(trial):
        x = trial.hp.int("x", 0, 2)
        return x + (trial.hp.int("y", 0, 2) if x == 0 else 0)

    result = luthier.tune(
        train, minimize="loss", searcher="grid", storage="memory", progress=False,
        max_trials=max_trials,
    )  # fmt: skip
    assert len(result.study.trials) == 5
    assert len({str(trial.configuration) for trial in result.study.trials}) == 5


def test_a_grid_over_what_code_asks_for_ends_beside_a_race():
    def train(trial):
        for _ in trial.epochs():
            trial.report(loss=float(trial.hp.int("x", 0, 3)))

    result = luthier.tune(
        train, minimize="loss", searcher="grid", storage="memory", progress=False,
        scheduler=None, epochs=1, finalists=2, repetitions=3,
    )  # fmt: skip
    history = result.study.history
    assert len(history.trials) - len(history.repetitions) == 4


def test_who_fails_before_it_asks_has_tried_no_point_of_the_grid():
    begun = []

    def train(trial):
        begun.append(trial.number)
        if len(begun) == 1:
            raise luthier.Infeasible("not yet")
        return trial.hp.int("x", 0, 2)

    result = luthier.tune(train, minimize="loss", searcher="grid", storage="memory", progress=False)
    found = [t.configuration["x"] for t in result.study.trials if t.configuration]
    assert sorted(found) == [0, 1, 2]


def test_only_the_endless_have_no_size():
    assert RandomSearch().size(SPACE) is None
    assert Sobol().size(SPACE) is None
    assert Grid(2).size(SPACE) == 2 * (2 + 1) * 2 * 2
