"""Whether a space holds all of another: the answer to whether a change has brought anything new."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.errors import SpaceError
from luthier.space import Bool, Choice, Constant, Float, Int, Space
from luthier.space.holding import holds_all

sys.path.insert(0, str(Path(__file__).parent))
from strategies import spaces

NESTED = {"sgd": Space(momentum=Float(0.5, 0.9)), "adam": Space()}

NARROWER = [
    (Float(0, 2), Float(0, 1)),
    (Float(0.1, 2), Float(0.1, 2, scale="log", prior=1.0)),
    (Float(0, 2), Float(0, 2, step=0.5)),
    (Float(0, 2, step=0.1), Float(0.2, 1, step=0.2)),
    (Float(0, 2), Int(0, 2)),
    (Float(0, 2), Constant(1.5)),
    (Int(1, 10**9), Int(1, 10**9 - 1, step=2)),
    (Int(8, 64, step=8), Choice(8, 32)),
    (Choice("a", "b", 3), Choice(3, "a")),
    (Choice(1, 2, 3, 4), Int(2, 3)),
    (Choice(True, False), Bool()),
    (Bool(), Constant(True)),
    (Choice(NESTED), Choice("adam")),
]
WIDER = [
    (Float(0, 1), Float(0, 1.01)),
    (Float(0, 2, step=0.2), Float(0, 1, step=0.1)),
    (Float(0, 2, step=0.2), Float(0.1, 0.9, step=0.2)),
    (Float(0, 2, step=0.2), Float(0, 2)),
    (Int(0, 3), Float(0, 3)),
    (Int(0, 8, step=2), Int(0, 8)),
    (Int(8, 64, step=8), Choice(8, 33)),
    (Choice("a", "b"), Choice("a", "c")),
    (Choice(1, 2), Choice(True, 2)),
    (Choice(1, 3), Int(1, 3)),
    (Choice(1, 3), Float(1, 3)),
    (Constant(1), Constant(2)),
    (Constant(1), Float(1, 2)),
    (Choice("sgd", "adam"), Choice(NESTED)),
]


@pytest.mark.parametrize(("known", "domain"), NARROWER)
def test_what_is_narrower_brings_nothing_new(known, domain):
    assert holds_all(Space(x=known), Space(x=domain))


@pytest.mark.parametrize(("known", "domain"), WIDER)
def test_what_is_wider_does(known, domain):
    assert not holds_all(Space(x=known), Space(x=domain))


def test_hyperparameters_that_come_and_go():
    x, y = Float(0, 1), Float(0, 1)
    assert holds_all(Space(x=x, y=y), Space(x=x))
    assert not holds_all(Space(x=x), Space(x=x, y=y))
    assert holds_all(Space(x=x), Space(x=x, version=Constant(3)))


def test_conditions():
    kind, x = Choice("a", "b", "c"), Float(0, 1)
    some = Space(kind=kind, x=x.when(kind=["a", "b"]))
    assert holds_all(some, Space(kind=kind, x=x.when(kind="a")))
    assert holds_all(Space(kind=kind, x=x), some)
    assert not holds_all(some, Space(kind=kind, x=x))
    assert not holds_all(some, Space(kind=kind, x=x.when(kind=["a", "c"])))


def test_constraints():
    x, y = Float(0, 1), Float(0, 1)
    half = Space(x=x, y=y, constraints=["x + y <= 1"])
    assert holds_all(Space(x=x, y=y), half)
    assert not holds_all(half, Space(x=x, y=y))
    assert holds_all(half, Space(x=x, y=y, constraints=["x + y <= 0.7"]))
    assert not holds_all(half, Space(x=x, y=y, constraints=["x + y <= 1.5"]))
    assert holds_all(half, Space(x=Float(0, 0.4), y=Float(0, 0.5)))
    assert holds_all(half, Space(x=x))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spaces(), st.data())
def test_a_space_holds_all_of_itself(space, data):
    try:
        assert holds_all(space, Space.from_dict(space.to_dict()))
    except SpaceError:  # its strategy makes some that cannot be read again
        return
    less = {n: d for n, d in space.domains.items() if not d.condition or data.draw(st.booleans())}
    if all(parent in less for d in less.values() for parent, _ in d.condition):
        assert holds_all(space, Space(less))
