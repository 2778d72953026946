"""Spaces: conditions, configurations, the unit cube, grids, and plain data."""

from __future__ import annotations

import copy
import json
import math
import pickle

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ANYTHING, DISCRETE, UNIT, refusal, spaces

from luthier.errors import SpaceError
from luthier.space import Bool, Choice, Constant, Float, Int, Space

RATE = Float(1e-4, 1e-1, scale="log")
MOMENTUM = Float(0.9, 0.999, scale="one_minus_log")
OPTIMIZER = Space(
    optimizer=Choice("sgd", "adam"),
    learning_rate=RATE,
    momentum=MOMENTUM.when(optimizer="sgd"),
)
NESTED = Space(
    optimizer=Choice(
        {"sgd": Space(rate=RATE, momentum=MOMENTUM), "adam": Space(rate=Float(1e-5, 1e-2))}
    ),
    units=Int(1, 8),
)


# -- conditions ------------------------------------------------------------------------------------


def test_momentum_exists_only_under_sgd():
    with_sgd = OPTIMIZER.sample({"optimizer": 0.2, "learning_rate": 0.5, "momentum": 0.5}.get)
    with_adam = OPTIMIZER.sample({"optimizer": 0.7, "learning_rate": 0.5, "momentum": 0.5}.get)
    assert list(with_sgd) == ["optimizer", "learning_rate", "momentum"]
    assert list(with_adam) == ["optimizer", "learning_rate"]


def test_one_name_under_two_options_stays_two_hyperparameters():
    assert list(NESTED) == [
        "optimizer",
        "optimizer.sgd.rate",
        "optimizer.sgd.momentum",
        "optimizer.adam.rate",
        "units",
    ]
    assert NESTED["optimizer.adam.rate"].free == Float(1e-5, 1e-2)
    assert list(NESTED.sample(lambda key: 0.9)) == ["optimizer", "optimizer.adam.rate", "units"]


def test_sub_spaces_nest():
    inner = Choice({"a": Space(x=Int(0, 3)), "b": Space()})
    space = Space(outer=Choice({"p": Space(inner=inner, y=Bool()), "q": Space(inner=inner)}))
    assert list(space) == [
        "outer",
        "outer.p.inner",
        "outer.p.inner.a.x",
        "outer.p.y",
        "outer.q.inner",
        "outer.q.inner.a.x",
    ]
    assert list(space.sample(lambda key: 0.1)) == list(space)[:4]
    assert list(space.sample(lambda key: 0.7)) == ["outer", "outer.q.inner"]


def test_a_declared_space_can_grow():
    grown = NESTED.with_domain("more", Bool())
    assert list(grown) == [*NESTED, "more"]
    assert OPTIMIZER.with_domain("m", Bool()).with_domain("n", Bool()).dimension == 5


def test_conditions_chain():
    space = Space(
        a=Bool(True), b=Int(1, 3).when(a=True), c=Float(0, 1).when(b=[2, 3]), d=Bool().when(c=0.5)
    )
    assert list(space.sample({"a": 0.9, "b": 0.9, "c": 0.5, "d": 0.1}.get)) == ["a", "b", "c", "d"]
    assert list(space.sample({"a": 0.9, "b": 0.1}.get)) == ["a", "b"]
    assert list(space.sample({"a": 0.1}.get)) == ["a"]


@pytest.mark.parametrize(
    ("parent", "value", "place"),
    [
        (Float(0, 0.5, step=0.25), 0, 0.0),
        (Int(1, 3), 2.0, 0.5),
        (Choice(16, 32), 32.0, 0.9),
        (Bool(), np.bool_(True), 0.9),
        (Choice((1, 2), (3, 4)), [[1, 2]], 0.0),
    ],
)
def test_conditions_hold_for_equal_values_of_another_type(parent, value, place):
    space = Space(p=parent, x=Bool().when(p=value))
    assert "x" in space.sample({"p": place, "x": 0.5}.get)
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


def test_conditions_have_the_parents_order():
    letters = Choice("c", "b", "a")
    one = Space(p=letters, x=Bool().when(p={"a", "b"}))
    assert one["x"].condition == (("p", ("b", "a")),)
    assert one == Space(p=letters, x=Bool().when(p=["a", "b", "b"]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Space(x=Bool().when(y=1)), "x depends on 'y', which the space does not have"),
        (
            lambda: Space(optimizer=Bool(), x=Bool().when(optimiser=True)),
            "Did you mean 'optimizer'",
        ),
        (lambda: Space(x=Bool().when(y=True), y=Bool()), "Parents come first"),
        (
            lambda: Space(o=Choice("sgd"), x=Bool().when(o="adam")),
            r"x depends on o='adam', which o never is: it is Choice\('sgd'\)",
        ),
        (lambda: Space(o=Bool(), x=Bool().when(o=())), "on no value of it"),
        (lambda: Space({"": Bool()}), "non-empty text"),
        (lambda: Space({3: Bool()}), "non-empty text, got 3"),
        (lambda: Space({"x": Bool()}, x=Int(1, 2)), "'x' twice"),
        (lambda: Space(x=(1, 2)), r"x=\(1, 2\) is no domain: expected Float"),
        (lambda: Space([Bool()]), "domains by name"),
        (lambda: Space(o=Choice({"a": 3})), "option 'a' must open a Space, got 3"),
        (lambda: Space(x=Bool(), constraints=5), "constraints=5"),
        (
            lambda: Space(o=Choice({"a": Space(x=Int(1, 3), constraints="x < 2")})),
            r"option 'a' has constraints.*outer space.*o\.a\.x",
        ),
    ],
)
def test_message_says_what_is_wrong_with_a_space(make, words):
    with pytest.raises(SpaceError, match=words):
        make()


@given(ANYTHING, ANYTHING, ANYTHING)
def test_spaces_work_or_say_why_not(domains, domain, constraints):
    for make in (
        lambda: Space(domains),
        lambda: Space(x=domain),
        lambda: Space(x=Bool(), y=Bool().when(x=domain)),
        lambda: Space(x=Bool(), constraints=constraints),
        lambda: Space(x=Bool(), constraints=[constraints]),
        lambda: Space(x=Choice({"a": domain})),
    ):
        if refusal(make) is None:
            assert make() == make()


# -- check -----------------------------------------------------------------------------------------


def test_check_completes_orders_and_types():
    space = Space(a=Float(0, 1), b=Int(1, 64), c=Constant("x"))
    checked = space.check({"b": 64.0, "a": 1})
    assert list(checked.items()) == [("a", 1.0), ("b", 64), ("c", "x")]
    assert (type(checked["a"]), type(checked["b"])) == (float, int)


def test_check_understands_short_names():
    full = {"optimizer": "sgd", "optimizer.sgd.rate": 0.01, "optimizer.sgd.momentum": 0.9}
    full["units"] = 3
    assert NESTED.check(full) == full
    assert NESTED.check({"units": 3, "momentum": 0.9, "rate": 0.01, "optimizer": "sgd"}) == full


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"optimizer": "adam"}, r"lacks 'learning_rate': expected Float"),
        ({"optimizer": "adam", "learning_rat": 0.1}, "Did you mean 'learning_rate'"),
        ({"optimizer": "adam", "learning_rate": 0.01, "momentum": 0.9}, "needs optimizer='sgd'"),
        ({"optimizer": "adam", "learning_rate": 1}, "learning_rate=1: .*the nearest is 0.1"),
        ({"optimizer": "adma", "learning_rate": 0.1}, "Did you mean 'adam'"),
        ({"optimizer": "adam", "learning_rate": None}, "learning_rate=None: expected a number"),
        ({"optimizer": "adam", "learning_rate": 0.1, 7: 1}, "no hyperparameter 7"),
        ("optimizer", "values by name"),
    ],
)
def test_check_says_what_is_wrong(configuration, words):
    with pytest.raises(SpaceError, match=words):
        OPTIMIZER.check(configuration)


def test_check_refuses_short_names_that_mean_two_things_or_come_twice():
    with pytest.raises(SpaceError, match=r"optimizer\.sgd\.rate, optimizer\.adam\.rate"):
        NESTED.check({"rate": 0.01})
    both = {"optimizer": "adam", "rate": 0.01, "optimizer.adam.rate": 0.01, "units": 3}
    with pytest.raises(SpaceError, match=r"gives optimizer\.adam\.rate twice"):
        NESTED.check(both)


@given(spaces(), st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), ANYTHING))
def test_check_raises_nothing_else(space, extra):
    for configuration in ({**space.default(), **extra}, dict.fromkeys(space, extra), extra):
        if refusal(lambda configuration=configuration: space.check(configuration)) is None:
            checked = space.check(configuration)
            assert space.check(checked) == checked


@settings(max_examples=60)
@given(spaces(), st.lists(UNIT, min_size=60, max_size=60))
def test_samples_and_defaults_pass_check(space, units):
    draws = iter(units)
    configuration = space.sample(lambda key: next(draws))
    assert space.check(configuration) == configuration
    assert list(configuration) == [k for k in space if k in configuration]
    assert space.check(space.default()) == space.default()


# -- the unit cube ---------------------------------------------------------------------------------


@settings(max_examples=60)
@given(spaces(DISCRETE), st.lists(UNIT, min_size=60, max_size=60))
def test_decode_undoes_encode_exactly_where_all_is_discrete(space, units):
    draws = iter(units)
    configuration = space.sample(lambda key: next(draws))
    point = space.encode(configuration)
    assert point.shape == (space.dimension,)
    assert [k for k, x in zip(space.searched, point, strict=True) if math.isnan(x)] == [
        k for k in space.searched if k not in configuration
    ]
    assert space.decode(point) == configuration


@settings(max_examples=60)
@given(spaces(), st.lists(UNIT, min_size=60, max_size=60))
def test_encode_undoes_decode(space, units):
    configuration = space.decode(units[: space.dimension])
    assert space.check(configuration) == configuration
    point = space.encode(configuration)
    again = space.encode(space.decode(point))
    np.testing.assert_allclose(point, again, atol=1e-9)


def test_decode_refuses_points_that_are_none():
    with pytest.raises(SpaceError, match="3 numbers, got 2"):
        OPTIMIZER.decode([0.1, 0.2])
    with pytest.raises(SpaceError, match="NaN for momentum"):
        OPTIMIZER.decode([0.1, 0.2, math.nan])
    assert OPTIMIZER.decode([0.9, 0.0, math.nan]) == {"optimizer": "adam", "learning_rate": 1e-4}


# -- grids -----------------------------------------------------------------------------------------


def test_grid_refuses_a_range_without_end_and_names_the_fix():
    with pytest.raises(SpaceError, match=r"learning_rate=Float.*Grid\(count=\{'learning_rate': 3}"):
        OPTIMIZER.grid()


def test_grid_holds_only_the_combinations_that_exist():
    points = list(OPTIMIZER.grid(count=3))
    assert len(points) == OPTIMIZER.grid_size(3) == 3 * 3 + 3
    assert sum("momentum" in p for p in points) == 9
    assert len({tuple(p.items()) for p in points}) == len(points)
    assert all(OPTIMIZER.check(p) == p for p in points)


def test_grid_count_by_name():
    space = Space(a=Float(0, 1), b=Float(0, 1, step=0.5), c=Int(1, 9))
    assert space.grid_size({"a": 4}) == 4 * 3 * 9
    assert space.grid_size({"a": 4, "c": 2}) == 4 * 3 * 2
    with pytest.raises(SpaceError, match=r"count names 'aa'.*Did you mean 'a'"):
        space.grid({"aa": 4})


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "3", {"x": 0}, {"x": "3"}, {"x": 1.5}])
def test_grid_count_is_a_whole_number(count):
    with pytest.raises(SpaceError, match="whole number above 0"):
        Space(x=Float(0, 1)).grid(count)


def test_grid_obeys_constraints():
    space = Space(a=Int(1, 4), b=Int(1, 4), constraints=["a < b"])
    assert [(p["a"], p["b"]) for p in space.grid()] == [
        (a, b) for a in range(1, 5) for b in range(a + 1, 5)
    ]


@pytest.mark.parametrize(
    ("space", "count"),
    [
        (Space(a=Int(1, 10**15)), None),
        (Space(a=Float(0, 1)), 10**12),
        (Space({f"x{i}": Int(1, 10) for i in range(9)}), None),
    ],
)
def test_too_large_a_grid_is_refused_before_it_is_made(space, count):
    with pytest.raises(SpaceError, match="more than 1,000,000 points"):
        space.grid(count)


def test_empty_space():
    assert list(Space().grid()) == [{}]
    assert Space().dimension == 0
    assert Space().default() == Space().check({}) == Space().decode([]) == {}


# -- plain data ------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(spaces())
def test_spaces_survive_json_and_messagepack(space):
    for again in (
        Space.from_dict(json.loads(json.dumps(space.to_dict()))),
        Space.from_dict(msgspec.msgpack.decode(msgspec.msgpack.encode(space.to_dict()))),
    ):
        assert again == space
        assert hash(again) == hash(space)
        assert again.default() == space.default()
        assert repr(again) == repr(space)


def test_constraints_are_part_of_a_space():
    one = Space(a=Int(1, 4), constraints=["a < 3"])
    assert Space.from_dict(one.to_dict()) == one
    assert one != Space(a=Int(1, 4))
    assert one != Space(a=Int(1, 5), constraints=["a < 3"])
    assert one != "a space"
    assert one.with_domain("b", Bool()).constraints[0].text == "a < 3"
    assert repr(one) == "Space(a=Int(1, 4), constraints=['a < 3'])"


def test_another_versions_domains_are_refused():
    data = {"domains": [{"name": "x", "kind": "simplex"}], "constraints": []}
    with pytest.raises(SpaceError, match="'simplex': written by a newer luthier"):
        Space.from_dict(data)


def test_a_space_is_a_mapping():
    assert OPTIMIZER["momentum"].condition == (("optimizer", ("sgd",)),)
    assert len(OPTIMIZER) == 3
    assert "momentum" in OPTIMIZER
    assert "sgd" not in OPTIMIZER
    assert Space(a=Constant(1), b=Bool()).searched == ["b"]


@pytest.mark.parametrize("space", [OPTIMIZER, NESTED, Space(a=Int(1, 4), constraints=["a < 3"])])
def test_spaces_can_be_pickled_and_copied(space):
    for again in (pickle.loads(pickle.dumps(space)), copy.deepcopy(space), copy.copy(space)):
        assert again == space
        assert again.default() == space.default()
    option = Choice({"a": space})
    assert pickle.loads(pickle.dumps(option)).subspaces == option.subspaces


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"domains": 3, "constraints": []},
        {"domains": [{"kind": "bool"}], "constraints": []},
        {"domains": [{"name": "x", "kind": "float", "low": 0}], "constraints": []},
        {"domains": [{"name": "x", "kind": "bool", "zap": 0}], "constraints": []},
    ],
)
def test_what_describes_no_space_is_refused(data):
    with pytest.raises(SpaceError, match=r"describes no space.*Space\.to_dict"):
        Space.from_dict(data)


def test_constants_need_no_draw():
    assert Space(a=Constant(3), b=Bool().when(a=3)).sample({"b": 0.9}.__getitem__) == {
        "a": 3,
        "b": True,
    }


def test_conditions_that_exclude_each_other_are_refused():
    letters = Choice("a", "b", "c")
    with pytest.raises(SpaceError, match=r"x is never active.*use one \.when\(p=\('a', 'b'\)\)"):
        Space(p=letters, x=Bool().when(p="a").when(p="b"))
    both = Space(p=letters, x=Bool().when(p=["a", "b"]).when(p=["b", "c"]))
    assert [p for p in "abc" if both.is_active("x", {"p": p})] == ["b"]


def test_check_understands_short_names_in_deep_branches():
    def inner(high):
        return Choice({"a": Space(x=Int(0, high)), "b": Space()})

    space = Space(outer=Choice({"p": Space(inner=inner(3)), "q": Space(inner=inner(9))}))
    assert space.check({"x": 7, "inner": "a", "outer": "q"}) == {
        "outer": "q",
        "outer.q.inner": "a",
        "outer.q.inner.a.x": 7,
    }


def test_check_finds_a_short_name_by_a_parent_of_another_type_and_by_a_constant():
    space = Space(
        {
            "n": Int(1, 2),
            "c": Constant("k"),
            "one.x": Bool().when(n=1),
            "two.x": Int(0, 9).when(n=2, c="k"),
        }
    )
    assert space.check({"n": 2.0, "x": 4}) == {"n": 2, "c": "k", "two.x": 4}


def test_a_full_name_is_no_short_name_of_another():
    space = Space(
        rate=Choice("a", "b"),
        o=Choice({"p": Space(rate=Choice("a", "b")), "q": Space()}),
    )
    with pytest.raises(SpaceError, match=r"lacks 'o\.p\.rate'"):
        space.check({"rate": "a", "o": "p"})


def test_the_size_of_a_grid_counts_only_what_is_active_together():
    branches = {c: Space(x=Int(1, 300), y=Int(1, 300)) for c in "abcdefgh"}
    space = Space(o=Choice(branches))
    assert next(space.grid()) == {"o": "a", "o.a.x": 1, "o.a.y": 1}  # 8 * 90,000
    with pytest.raises(SpaceError, match="more than 1,000,000 points"):
        Space(o=Choice(branches), more=Bool()).grid()


GIVEN = Space(
    optimizer=Choice("sgd", "adam", default="sgd", prior="adam"),
    rate=Float(0.0, 1.0, default=0.5, prior=0.9),
    units=Int(1, 9, default=5, prior=8),
    flag=Bool(False, prior=True),
    kind=Choice({"a": Space(x=Float(0, 1, default=0.5, prior=0.7)), "b": Space()}),
)


def test_a_default_that_was_given_goes_before_the_prior_whatever_it_is():
    begun = {
        "optimizer": "sgd",
        "rate": 0.5,
        "units": 5,
        "flag": False,
        "kind": "a",
        "kind.a.x": 0.5,
    }
    again = Space.from_dict(json.loads(json.dumps(GIVEN.to_dict())))
    for space in (
        GIVEN,
        again,
        Space.from_dict(again.to_dict()),
        pickle.loads(pickle.dumps(GIVEN)),
    ):
        assert space.default() == begun
    more = GIVEN.with_domain("y", Float(0, 1, prior=0.2).when(flag=False))
    assert more.default() == {**begun, "y": 0.2}


def test_logs_from_before_that_was_remembered_are_read_as_they_were():
    data = GIVEN.to_dict()
    assert [entry.pop("default_given", None) for entry in data["domains"]] == [True] * 4 + [
        None,
        True,
    ]
    old = Space.from_dict(data)
    assert old.default() == {
        "optimizer": "adam", "rate": 0.9, "units": 8, "flag": True, "kind": "a", "kind.a.x": 0.7,
    }  # fmt: skip
    assert old == GIVEN  # or else a study of before would not open any more
    plain = Space(rate=Float(0.0, 1.0, default=0.5), other=Float(0, 1, default=0.3, prior=0.7))
    assert "default_given" not in json.dumps(plain.to_dict())
    assert Space.from_dict(plain.to_dict()).default() == {"rate": 0.5, "other": 0.3}


def test_a_search_begins_at_the_prior_where_no_default_was_given():
    space = Space(
        rate=Float(1e-4, 1.0, scale="log", prior=0.1),
        given=Float(1e-4, 1.0, scale="log", prior=0.1, default=0.5),
        units=Int(1, 9, prior=8),
        kind=Choice("a", "b", prior="b"),
        flag=Bool(prior=True),
        plain=Float(0.0, 1.0),
    )
    begun = {"rate": 0.1, "given": 0.5, "units": 8, "kind": "b", "flag": True, "plain": 0.5}
    assert space.default() == begun
    assert Space.from_dict(space.to_dict()) == space
