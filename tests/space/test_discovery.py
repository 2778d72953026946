"""Discovery: the space of a build function, found by running it."""

from __future__ import annotations

import random

import pytest

from luthier.errors import Infeasible, LuthierWarning, SpaceError
from luthier.space import Bool, Choice, Float, HyperParameters, Int, Space, discover


def refuse(key, domain):
    raise AssertionError(f"{key} was not discovered")


def assert_complete(build, space=None, count=150):
    """Every configuration of the discovered space is exactly what *build* asks for."""
    space = space or discover(build)
    assert discover(build, limit=5000) == space  # and again the same
    numbers = random.Random(7)
    for _ in range(count):
        configuration = space.sample(lambda key: numbers.random())
        hp = HyperParameters(space, configuration, refuse)
        build(hp)
        assert hp.configuration == configuration
        assert not hp.grown
    return space


def test_no_branches():
    def build(hp):
        hp.float("rate", 1e-4, 1e-1, scale="log")
        hp.int("units", 1, 9)
        hp.constant("version", 2)

    space = assert_complete(build)
    assert list(space) == ["rate", "units", "version"]
    assert space["rate"] == Float(1e-4, 1e-1, scale="log")


def test_a_loop_over_layers():
    def build(hp):
        for i in range(hp.int("layers", 1, 4)):
            hp.int(f"units_{i}", 8, 64)

    space = assert_complete(build)
    assert list(space) == ["layers", "units_0", "units_1", "units_2", "units_3"]
    assert space["units_0"].condition == ()
    assert space["units_1"].condition == (("layers", (2, 3, 4)),)
    assert space["units_3"].condition == (("layers", (4,)),)


def test_a_plain_if():
    def build(hp):
        if hp.choice("optimizer", ["adam", "sgd"]) == "sgd":
            hp.float("momentum", 0.9, 0.999)
            if hp.bool("nesterov"):
                hp.float("nesterov_rate", 0, 1)

    space = assert_complete(build)
    assert space["momentum"] == Float(0.9, 0.999).when(optimizer="sgd")
    assert space["nesterov"] == Bool().when(optimizer="sgd")
    assert space["nesterov_rate"].condition[-1] == ("nesterov", (True,))


def test_one_name_in_two_branches_with_two_ranges():
    def build(hp):
        if hp.choice("optimizer", ["adam", "sgd"]) == "sgd":
            hp.float("rate", 1e-3, 1)
        else:
            hp.float("rate", 1e-5, 1e-2)

    space = assert_complete(build)
    assert dict(space.domains) == {
        "optimizer": Choice("adam", "sgd"),
        "optimizer.adam.rate": Float(1e-5, 1e-2).when(optimizer="adam"),
        "optimizer.sgd.rate": Float(1e-3, 1).when(optimizer="sgd"),
    }


def test_one_name_in_two_branches_with_one_range():
    def build(hp):
        if hp.choice("optimizer", ["adam", "sgd"]) == "sgd":
            hp.float("rate", 0, 1)
        else:
            hp.float("rate", 0, 1)

    assert list(assert_complete(build)) == [
        "optimizer",
        "optimizer.adam.rate",
        "optimizer.sgd.rate",
    ]


def test_one_name_twice_at_two_lines_of_one_branch_is_one():
    def build(hp):
        a = hp.int("units", 1, 9)
        assert hp.int("units", 1, 9) == a
        if hp.bool("deep"):
            hp.float("x", 0, 1)
            hp.float("x", 0, 1)

    assert list(assert_complete(build)) == ["units", "deep", "x"]


def test_when_needs_no_if():
    def build(hp):
        optimizer = hp.choice("optimizer", ["adam", "sgd", "rmsprop"])
        with hp.when("optimizer", "sgd", "rmsprop"):
            momentum = hp.float("momentum", 0.5, 0.9, default=0.6)
            if optimizer == "adam":
                assert momentum == 0.6
        with hp.when("optimizer", "adam"):
            hp.float("momentum", 0.1, 0.2)

    space = assert_complete(build)
    assert space["optimizer.adam.momentum"].condition == (("optimizer", ("adam",)),)
    assert space["optimizer.sgd|rmsprop.momentum"].condition == (("optimizer", ("sgd", "rmsprop")),)


def test_when_inside_when():
    def build(hp):
        hp.int("layers", 1, 3)
        with hp.when("layers", 2, 3):
            if hp.bool("wide"):
                hp.int("width", 8, 16)
            with hp.when("wide", True):
                hp.float("drop", 0, 0.5)

    assert_complete(build)


def test_a_branch_of_what_nobody_asks_for_is_warned_of():
    def build(hp):
        hp.choice("optimizer", ["adam", "sgd"])
        with hp.when("optimiser", "sgd"):
            hp.float("momentum", 0, 1)

    with pytest.warns(LuthierWarning, match=r"called 'optimiser' .*Did you mean 'optimizer'"):
        space = discover(build)
    assert list(space) == ["optimizer"]


def test_a_parent_that_only_some_runs_ask_for_is_no_reason_to_warn(recwarn):
    def build(hp):
        if hp.bool("deep"):
            hp.int("layers", 1, 3)
        with hp.when("layers", [2, 3]):
            hp.float("drop", 0, 1)

    space = discover(build)
    assert space["layers.2|3.drop"].condition[0] == ("layers", (2, 3))
    assert not recwarn.list


def test_options_that_only_look_alike_are_told_apart():
    def build(hp):
        options = [0, 1] if hp.bool("whole") else [False, True]
        assert hp.choice("n", options) in options

    space = assert_complete(build)
    assert {name: repr(domain.free) for name, domain in space.domains.items()} == {
        "whole": "Bool(False)",
        "whole.False.n": "Choice(False, True)",
        "whole.True.n": "Choice(0, 1)",
    }


def test_branches_on_two_parents():
    def build(hp):
        a = hp.bool("a")
        b = hp.choice("b", ["x", "y", "z"])
        if a:
            hp.float("with_a", 0, 1)
        if b != "x":
            hp.float("not_x", 0, 1)
        if b == "z":
            for i in range(hp.int("n", 1, 3)):
                hp.bool(f"z_{i}")

    assert_complete(build)


def test_a_long_range_of_integers():
    def build(hp):
        if hp.int("units", 1, 100) > 50:
            hp.bool("big")

    space = discover(build)
    parent, values = space["big"].condition[0]
    assert parent == "units"
    assert 100 in values
    assert 1 not in values


def test_what_the_build_raises_comes_through():
    def build(hp):
        if hp.bool("flag"):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        discover(build)


def test_values_that_cannot_be_built_leave_what_others_ask_for():
    def build(hp):
        pooled = hp.int("pools", 1, 4)
        if hp.bool("wide"):
            hp.int("width", 8, 64)
        if pooled == 4:
            raise Infeasible("pooled away")
        hp.float("rate", 0, 1)

    space = discover(build)
    assert list(space) == ["pools", "wide", "rate", "width"]
    assert space["rate"].condition == ()
    assert space["width"].condition == (("wide", (True,)),)


def test_defaults_that_cannot_be_built_hide_nothing():
    def build(hp):
        deep = hp.bool("deep", True)
        units = hp.int("units", 1, 9)
        if deep and units > 4:
            raise Infeasible("too large")
        hp.float("rate", 0, 1)
        if deep:
            hp.int("layers", 2, 5)
        if hp.bool("warm"):
            hp.int("steps", 1, 3)

    space = discover(build)
    assert set(space) == {"deep", "units", "rate", "layers", "warm", "steps"}
    assert space["rate"].condition == space["warm"].condition == ()
    assert space["layers"].condition == (("deep", (True,)),)
    assert space["steps"].condition == (("warm", (True,)),)


def test_what_no_values_can_build_is_a_space_too():
    def build(hp):
        hp.int("units", 1, 9)
        raise Infeasible("no such net")

    assert list(discover(build)) == ["units"]


def test_other_errors_may_be_the_values_own_affair():
    def build(hp):
        if hp.int("units", 1, 9) == 9:
            raise MemoryError
        hp.float("rate", 0, 1)

    with pytest.raises(MemoryError):
        discover(build)
    space = discover(build, unfit=lambda error: isinstance(error, MemoryError))
    assert dict(space.domains) == {"units": Int(1, 9), "rate": Float(0, 1)}


def test_ranges_that_hang_on_another_value_are_one():
    def build(hp):
        layers = hp.int("layers", 2, 4)
        assert 1 <= hp.int("heads", 1, layers) <= layers

    space = discover(build)
    assert dict(space.domains) == {"layers": Int(2, 4), "heads": Int(1, 4)}
    hp = HyperParameters(space, {"layers": 2, "heads": 4}, lambda key, domain: domain.default)
    build(hp)
    assert not hp.grown


def test_branches_on_a_range_that_hangs_on_another_value():
    def build(hp):
        layers = hp.int("layers", 2, 4)
        if hp.int("heads", 1, layers) == 1:
            hp.float("temperature", 0, 1)

    space = discover(build)
    assert space["temperature"].condition == (("heads", (1,)),)


def test_two_places_that_ask_through_one_function_stay_two():
    def rate(hp, low, high):
        return hp.float("learning_rate", low, high, scale="log")

    def build(hp):
        if hp.choice("optimizer", ["sgd", "adam"]) == "sgd":
            rate(hp, 1e-2, 1.0)
        else:
            rate(hp, 1e-5, 1e-2)

    space = assert_complete(build)
    assert space["optimizer.sgd.learning_rate"].free == Float(1e-2, 1.0, scale="log")
    assert space["optimizer.adam.learning_rate"].free == Float(1e-5, 1e-2, scale="log")


def test_ranges_of_two_kinds_at_one_place_stay_two():
    def build(hp):
        scale = "log" if hp.bool("log") else "linear"
        hp.int("units", 1, 9, scale=scale)

    space = assert_complete(build)
    assert list(space) == ["log", "log.False.units", "log.True.units"]


def test_a_range_of_one_value_is_that_value():
    def build(hp):
        layers = hp.int("layers", 1, 3)
        heads = hp.int("heads", 1, layers)
        assert 1 <= heads <= layers
        assert heads == hp["heads"] == hp.get("heads")
        hp.float("drop", 0.5, 0.5 if layers == 1 else 0.75)

    space = discover(build)
    assert dict(space.domains) == {
        "layers": Int(1, 3), "heads": Int(1, 3), "drop": Float(0.5, 0.75)
    }  # fmt: skip
    hp = HyperParameters(space, {"layers": 1, "heads": 3, "drop": 0.7}, refuse)
    build(hp)
    assert hp.configuration == {"layers": 1, "heads": 1, "drop": 0.5}


@pytest.mark.parametrize("default", [1, 2])
def test_a_branch_of_a_range_of_one_value(default):
    def build(hp):
        hp.int("heads", 1, hp.int("layers", 1, 3, default=default))
        with hp.when("heads", 1):
            hp.bool("shared")

    space = discover(build)
    assert list(space) == ["layers", "heads", "heads.1.shared"]
    assert space["heads.1.shared"].condition == (("heads", (1,)),)
    hp = HyperParameters(space, {"layers": 1, "heads": 1, "heads.1.shared": True}, refuse)
    build(hp)
    assert hp.configuration == {"layers": 1, "heads": 1, "heads.1.shared": True}
    hp = HyperParameters(Space(), {}, lambda key, domain: domain.default)
    hp.int("heads", 1, 1)
    with hp.when("heads", 1):
        hp.bool("shared")
    assert hp.configuration == {"heads.1.shared": False}


def test_one_name_with_two_ranges_in_one_run_is_refused():
    def build(hp):
        hp.int("units", 1, 9)
        hp.int("units", 1, 8)

    with pytest.raises(SpaceError, match=r"Int\(1, 9\) and then as Int\(1, 8\) in the same run"):
        discover(build)


def test_the_limit_bounds_the_runs_and_the_rest_joins_later():
    runs = []

    def build(hp):
        runs.append(1)
        for i in range(12):
            if hp.bool(f"flag_{i}"):
                hp.int(f"n_{i}", 1, 10)

    space = discover(build, limit=3)
    assert len(runs) == 3
    hp = HyperParameters(space, {f"flag_{i}": True for i in range(12)}, lambda k, d: d.default)
    build(hp)
    assert hp.grown
    assert len(hp.configuration) == 24


def test_hp_reads_back_while_it_is_discovered():
    def build(hp):
        assert hp.get("units", 3) == 3
        hp.int("units", 1, 9)
        assert hp["units"] == hp.get("units")

    assert dict(discover(build).domains) == {"units": Int(1, 9)}
    with pytest.raises(SpaceError, match="'layers' was not asked for"):
        discover(lambda hp: hp["layers"])


def write_branches(numbers, lines, depth, used):
    """Write a random program: any name may come back in a branch that excludes the others."""
    indent = "    " * (2 * depth + 1)
    for _ in range(numbers.randint(1, 3)):
        kind = numbers.choice(["float", "choice", "bool", "int", "loop"])
        name = f"{kind}_{numbers.randint(0, 3 + 9 * (depth == 0))}"
        if name in used:
            continue
        used.add(name)
        high = numbers.randint(4, 5)
        if kind == "float":
            lines.append(f"{indent}hp.float('{name}', 0, {high})")
        elif kind == "loop":
            lines.append(f"{indent}for i in range(hp.int('{name}', 1, 3)):")
            lines.append(f"{indent}    hp.int(f'{name}_{{i}}', 1, {high * 10})")
        else:
            options = {"choice": ["a", "b", "c"], "bool": [False, True], "int": [1, 2, 3]}[kind]
            rest = {"choice": f", {options}", "bool": "", "int": ", 1, 3"}[kind]
            lines.append(f"{indent}value_{depth} = hp.{kind}('{name}'{rest})")
            before = frozenset(used)
            for option in options if depth < 2 else ():
                lines.append(f"{indent}if value_{depth} == {option!r}:\n{indent}    if True:")
                inside = set(before)
                write_branches(numbers, lines, depth + 1, inside)
                lines.append(f"{indent}        pass")
                used |= inside


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed):
    lines = ["def build(hp):", "    pass"]
    write_branches(random.Random(seed), lines, 0, set())
    program: dict = {}
    exec(compile("\n".join(lines), f"program {seed}", "exec"), program)
    assert_complete(program["build"], discover(program["build"], limit=5000), count=40)
