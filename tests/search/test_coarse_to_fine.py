"""Coarse to fine: what it proposes, what it gains, and what it explains and refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from narrowed import CONDITIONAL, FINER, SPACE, ends, is_narrowed, smooth, told_of, valley
from told import best_after, bowl, proposal, told

from luthier.errors import SpaceError, StudyError
from luthier.search.coarse_to_fine import CoarseToFine
from luthier.search.columns import columns_of
from luthier.search.narrowing import Part, _aligned, space_in
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.study.protocols import Explains

sys.path.insert(0, str(Path(__file__).parent.parent / "space"))
from strategies import spaces

# -- proposals -------------------------------------------------------------------------------------


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(
    spaces(), st.integers(0, 30), st.integers(0, 1000), st.sampled_from(["sobol", "tpe", "random"])
)
def test_proposals_lie_in_the_space(space, trials, seed, inside):
    searcher = CoarseToFine(trials=8, inside=inside)
    try:
        study = told(space, bowl, trials, seed=seed)
        configuration = proposal(study, searcher, seed=seed)
    except SpaceError:  # constraints that leave nothing: see test_searchers
        return
    assert space.check(configuration) == configuration
    assert len(searcher.explain(study.history, space).splitlines()) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spaces(), st.data())
def test_whatever_lies_in_a_box_lies_in_the_space(space, data):
    columns = columns_of(space)
    box = []
    for count, domain in zip(columns.options, columns.domains, strict=True):
        if count:
            left = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
            box.append(Part(options=tuple(sorted(left))))
        else:
            low = data.draw(st.floats(0, 0.99))
            box.append(_aligned(Part(low=low, high=low + data.draw(st.floats(0, 1))), domain))
    inner = space_in(space, tuple(box))
    assert inner is space_in(space, tuple(box))  # what is kept for a space is kept for this one
    for _ in range(5):
        configuration = inner.sample(lambda _: data.draw(st.floats(0, 1, exclude_max=True)))
        checked = space.check(configuration)
        assert all(_alike(checked[name], value) for name, value in configuration.items())
        points = space.encode(checked)
        for name, count, part, place in zip(
            columns.names, columns.options, box, points, strict=True
        ):
            if count and not math.isnan(place):
                assert int(place * count) in part.options
            elif not math.isnan(place) and inner[name].free != space[name].free:
                assert part.low - 1e-6 <= place <= part.high + 1e-6


def _alike(a, b):
    return a == b or (type(a) is float and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12))


FRESH = """
import json, sys
sys.path.insert(0, {here!r})
from test_coarse_to_fine import *
study = told(CONDITIONAL, valley, 60, seed=3)
searchers = [FINER, CoarseToFine(inside="tpe")]
proposal(study, searchers[1], number=7)  # no proposal may depend on those before it
print(json.dumps([[proposal(study, s, number=n) for n in (61, 60, 30, 8)] for s in searchers]))
"""


def test_a_fresh_process_proposes_the_same():
    code = FRESH.format(here=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    study = told(CONDITIONAL, valley, 30, seed=3)
    searchers = [FINER, CoarseToFine(inside="tpe")]
    for _ in range(30):  # and no proposal on how the history came
        proposal(study, searchers[1])
        trial = study.ask()
        study.tell(trial, loss=valley(trial.configuration))
    assert is_narrowed(told_of(study)["rate"])  # else there is nothing to get wrong
    here = [[proposal(study, s, number=n) for n in (8, 30, 60, 61)][::-1] for s in searchers]
    assert json.loads(done.stdout) == here


def test_it_begins_with_the_defaults_and_looks_everywhere():
    study = told(SPACE, smooth(0)[0], 16, searcher=FINER)
    assert study.trials[0].configuration == SPACE.default()
    points = np.array([SPACE.encode(trial.configuration) for trial in study.trials])
    assert all(len(set((column * 8).astype(int))) >= 7 for column in points.T)


def test_pending_trials_neither_move_the_box_nor_are_proposed_again():
    study = told(SPACE, smooth(1)[0], 16, searcher=FINER)
    before = told_of(study)
    assert any(map(is_narrowed, before.values()))
    asked = [study.ask() for _ in range(8)]
    assert len({tuple(trial.configuration.values()) for trial in asked}) == 8
    for trial in asked[:4]:  # better than all before, and still of the round that is under way
        study.tell(trial, loss=-1.0)
    assert told_of(study) == before


def test_a_round_begins_in_the_whole_space_while_the_one_before_is_pending():
    study = told(SPACE, smooth(1)[0], 0, searcher=FINER)
    asked = [study.ask() for _ in range(20)]
    assert not any(map(is_narrowed, told_of(study).values()))
    for trial in asked:
        study.tell(trial, loss=smooth(1)[0](trial.configuration))
    assert any(map(is_narrowed, told_of(study).values()))


def test_a_box_that_is_used_up_is_left():
    space = Space(x=Int(1, 5), y=Choice("a", "b", "c"), z=Bool())
    study = told(space, lambda c: 4 * c["x"] + (c["y"] == "b"), 29, searcher=FINER)
    assert len({tuple(t.configuration.values()) for t in study.trials}) == 29


def test_a_finite_box_is_used_up_before_it_is_left():
    space = Space(x=Int(1, 40))
    searcher = CoarseToFine(rounds=1, trials=8, inside="sobol")
    study = told(space, lambda c: (c["x"] - 20) ** 2, 8, searcher=searcher)
    low, high = ends(told_of(study, searcher)["x"])
    assert 10 < high - low < 25
    known = {trial.configuration["x"] for trial in study.trials}
    for _ in range(14):
        trial = study.ask()
        study.tell(trial, loss=(trial["x"] - 20) ** 2)
        if not known >= set(range(int(low), int(high) + 1)):
            assert low <= trial["x"] <= high
        assert trial["x"] not in known
        known.add(trial["x"])


def test_steps_keep_their_digits_in_the_box():
    space = Space(x=Float(0, 27 * 0.14285714285714285, step=0.14285714285714285))
    searcher = CoarseToFine(rounds=1, trials=12, inside="sobol")
    study = told(space, lambda c: abs(c["x"] - 2.6), 24, searcher=searcher)
    assert is_narrowed(told_of(study, searcher)["x"])
    values = space["x"].values()
    assert all(trial.configuration["x"] in values for trial in study.trials)


def test_constraints_hold_and_may_leave_next_to_nothing_of_the_box():
    space = Space(x=Float(0, 1), y=Float(0, 1), constraints=["x + y <= 0.6"])
    study = told(space, lambda c: -c["x"] - c["y"], 40, searcher=FINER)
    assert all(t.configuration["x"] + t.configuration["y"] <= 0.6 for t in study.trials)
    space = Space(x=Float(0, 1), y=Choice("a", "b"), constraints=["x < 0.5 or x == 1 or y == 'b'"])
    # Option b goes; a in the upper half has but one point, which was asked for by hand.
    study = told(space, lambda c: 10 * (c["y"] == "b") - c["x"], 0, searcher=FINER, seed=4)
    for _ in range(8):
        study.enqueue({"x": 1.0, "y": "a"})
    for _ in range(30):
        trial = study.ask()
        c = trial.configuration
        study.tell(trial, loss=10 * (c["y"] == "b") - c["x"])
    assert all(space.satisfies(t.configuration) for t in study.trials)


# -- the whole of it -------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["sobol", "gaussian_process"])
def test_it_beats_random_search(inside):
    ratios = []
    for seed in range(10):
        loss, _ = smooth(seed)
        mine = best_after(SPACE, loss, 60, searcher=CoarseToFine(inside=inside), seed=seed)
        ratios.append(mine / best_after(SPACE, loss, 60, searcher="random", seed=seed))
    assert np.median(ratios) < (0.8 if inside == "sobol" else 0.01)


def test_it_explains_itself():
    assert isinstance(CoarseToFine(), Explains)
    study = told(SPACE, smooth(0)[0], 3)
    assert CoarseToFine().explain(study.history, SPACE) == (
        "coarse round 1 of 2: the first 16 trials look everywhere in 4 hyperparameters"
    )
    nothing = told(Space(a=Constant(1)), lambda _: 0.0, 3, searcher=CoarseToFine())
    assert CoarseToFine().explain(nothing.history, nothing.space).startswith("nothing is searched")
    assert CoarseToFine().narrowed(nothing.history, nothing.space) == []
    wide = Space({f"x{i}": Float(0, 1) for i in range(9)})
    study = told(wide, lambda c: c["x0"], 36, searcher=FINER)
    line = CoarseToFine().explain(study.history, wide)
    assert line.endswith("others not narrowed")
    assert CoarseToFine().size(SPACE) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": 0}, "rounds must be a whole number above 0, got 0"),
        ({"rounds": None}, "rounds must be a whole number above 0, got None"),
        ({"trials": True}, "trials must be a whole number above 0, or None, got True"),
        ({"trials": 2.5}, "trials must be a whole number above 0, or None, got 2.5"),
        ({"share": 1.0}, r"share must lie between 0 and 1 .*, got 1.0"),
        ({"share": "0.2"}, r"share must lie between 0 and 1 .*, got '0.2'"),
        ({"inside": "gausian_process"}, "Did you mean 'gaussian_process'"),
        ({"inside": "coarse_to_fine"}, "inside must be one of 'auto', 'random', 'sobol'"),
        ({"inside": "grid"}, "inside must be one of"),
        ({"inside": "stages"}, "inside must be one of"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(StudyError, match=message):
        CoarseToFine(**arguments)
