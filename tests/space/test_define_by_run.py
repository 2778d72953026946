"""Define-by-run: a trial's own answers, and a space that grows by them."""

from __future__ import annotations

import pytest

import luthier
from luthier.errors import SpaceError
from luthier.space import Bool, Choice, Float, HyperParameters, Int, Space


def halfway(key, domain):
    return domain.quantile(0.5)


def fresh(space=None, values=None):
    return HyperParameters(space or Space(), values or {}, halfway)


def ask_all(hp):
    hp.choice("optimizer", ["sgd", "adam"])
    hp.float("learning_rate", 1e-4, 1e-1, scale="log", prior=1e-2)
    hp.int("units", 32, 512, step=32)
    hp.bool("normalise")
    hp.constant("version", 3)
    if hp["optimizer"] == "sgd":
        with hp.when("optimizer", "sgd"):
            hp.float("momentum", 0.9, 0.999, scale="one_minus_log")


DECLARED = Space(
    {
        "optimizer": Choice("sgd", "adam"),
        "learning_rate": Float(1e-4, 1e-1, scale="log", prior=1e-2),
        "units": Int(32, 512, step=32),
        "normalise": Bool(),
        "version": luthier.Constant(3),
        "optimizer.sgd.momentum": Float(0.9, 0.999, scale="one_minus_log").when(optimizer="sgd"),
    }
)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_draws_are_those_of_the_declared_space(tmp_path, seed):
    kwargs = {"minimize": "loss", "seed": seed, "searcher": "random"}
    declared = luthier.open("a", DECLARED, storage=tmp_path / "a.db", **kwargs)
    grown = luthier.open("b", Space(), storage=tmp_path / "b.db", define_by_run=True, **kwargs)
    optimizers = set()
    for _ in range(10):
        one, other = declared.ask(), grown.ask()
        ask_all(other.hp)
        other.settle()
        assert dict(other.configuration) == dict(one.configuration)
        optimizers.add(one["optimizer"])
        one.report(loss=1.0)
        other.report(loss=1.0)
    assert optimizers == {"sgd", "adam"}
    assert set(grown.space) == set(DECLARED)
    assert all(grown.space[key] == DECLARED[key] for key in DECLARED)


def test_values_of_the_configuration_are_kept():
    hp = fresh(Space(units=Int(1, 9)), {"units": 7, "never": 1})
    assert hp.int("units", 1, 9) == 7
    assert hp.int("units", 1, 9) == 7
    assert hp.configuration == {"units": 7}
    assert not hp.grown


def test_values_outside_a_changed_range_are_drawn_again():
    hp = fresh(Space(units=Int(1, 9)), {"units": 7})
    assert hp.int("units", 1, 3) == 2
    assert hp.redrawn == {"units": 7}
    assert not hp.grown
    hp = fresh(Space(units=Int(1, 9)), {"units": 7})
    assert hp.int("units", 5, 12) == 7
    assert hp.space == Space(units=Int(1, 12))
    assert hp.grown == {"units": Int(1, 12)}


def test_the_space_grows_by_what_is_new():
    hp = fresh()
    assert hp.float("rate", 0, 1) == 0.5
    assert hp.bool("flag") is True
    assert hp.choice("kind", ("a", "b")) == "b"
    assert hp.constant("version", 3) == 3
    assert list(hp.space) == ["rate", "flag", "kind", "version"]
    assert hp.space["kind"] == Choice("a", "b")
    assert hp.configuration == {"rate": 0.5, "flag": True, "kind": "b", "version": 3}


def test_one_name_with_two_ranges_in_one_run_is_refused():
    hp = fresh()
    hp.int("units", 1, 9)
    with pytest.raises(SpaceError, match=r"'units'.*Int\(1, 9\) and then as Int\(1, 8\)"):
        hp.int("units", 1, 8)
    with pytest.raises(SpaceError, match="two names, or the same range"):
        hp.float("units", 1, 9)


def test_what_was_asked_for_is_read_by_name():
    hp = fresh()
    hp.int("units", 1, 9)
    assert hp["units"] == hp.get("units") == 5
    assert hp.get("layers") is None
    assert hp.get("layers", 4) == 4
    with pytest.raises(
        SpaceError, match=r"'unit' was not asked for.*Did you mean 'units'.*hp\.float"
    ):
        hp["unit"]


def test_when_scopes_names_and_conditions():
    hp = fresh(values={"optimizer": "sgd"})
    hp.choice("optimizer", ["sgd", "adam"])
    with hp.when("optimizer", "sgd"):
        assert hp.float("momentum", 0, 1) == 0.5
        hp.bool("nesterov")
    with hp.when("optimizer", "adam"):
        assert hp.float("momentum", 0.2, 0.4, default=0.3) == 0.3  # a default, not recorded
    assert list(hp.configuration) == [
        "optimizer",
        "optimizer.sgd.momentum",
        "optimizer.sgd.nesterov",
    ]
    assert hp.space["optimizer.sgd.momentum"].condition == (("optimizer", ("sgd",)),)
    assert hp["momentum"] == hp["optimizer.sgd.momentum"] == 0.5


def test_scopes_nest():
    hp = fresh(values={"a": 2, "a.1|2.b": True})
    hp.int("a", 1, 3)
    with hp.when("a", 1, 2):
        hp.bool("b")
        with hp.when("b", True):
            hp.float("c", 0, 1)
    assert list(hp.configuration) == ["a", "a.1|2.b", "a.1|2.b.True.c"]
    assert hp.space["a.1|2.b.True.c"].condition == (("a", (1, 2)), ("a.1|2.b", (True,)))
    assert hp.space.check(hp.configuration) == hp.configuration


def test_one_name_in_a_scope_and_outside_is_two_hyperparameters():
    hp = fresh(values={"optimizer": "sgd"})
    hp.choice("optimizer", ["sgd", "adam"])
    with hp.when("optimizer", "sgd"):
        hp.float("decay", 0, 1)
    assert hp.float("decay", 2, 4) == 3.0
    assert hp.configuration == {"optimizer": "sgd", "optimizer.sgd.decay": 0.5, "decay": 3.0}


def test_a_scope_ends_with_an_error_inside_it():
    hp = fresh()
    hp.bool("flag")
    with pytest.raises(KeyError), hp.when("flag", True):
        raise KeyError
    hp.int("units", 1, 9)
    assert list(hp.configuration) == ["flag", "units"]


def test_a_declared_choice_of_spaces_grows_too():
    space = Space(optimizer=Choice({"sgd": Space(momentum=Float(0, 1)), "adam": Space()}))
    hp = fresh(space, {"optimizer": "sgd", "optimizer.sgd.momentum": 0.25})
    assert hp.choice("optimizer", ["sgd", "adam"]) == "sgd"
    assert hp.float("momentum", 0, 1) == 0.25
    hp.int("units", 1, 9)
    assert list(hp.space) == ["optimizer", "optimizer.sgd.momentum", "units"]


def test_without_draws_nothing_new_is_answered():
    hp = HyperParameters(Space(), {})
    with pytest.raises(SpaceError, match=r"no value for 'units'; the code asks for Int\(1, 9\)"):
        hp.int("units", 1, 9)


@pytest.mark.parametrize("name", ["", "  ", 3, None])
def test_a_name_is_a_text(name):
    with pytest.raises(SpaceError, match="non-empty text"):
        fresh().bool(name)
    with pytest.raises(SpaceError, match="non-empty text"):
        luthier.space.discover(lambda hp: hp.bool(name))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda hp: hp.float("rate", 1, 0), "rate: .*low must be below high"),
        (lambda hp: hp.int("units", 1, 1), "units: .*low equals high"),
        (lambda hp: hp.choice("kind", []), "kind: .*no options"),
        (lambda hp: hp.choice("kind", "sgd"), "kind: options='sgd': expected a list"),
        (lambda hp: hp.choice("kind", 3), "kind: options=3: expected a list"),
        (lambda hp: hp.choice("kind", {"a": Space()}), "kind: .*ask inside an if"),
        (lambda hp: hp.bool("flag", "yes"), "flag: .*expected True or False"),
        (lambda hp: hp.constant("c", len), "c: .*cannot be an option"),
    ],
)
def test_messages_name_the_hyperparameter(ask, words):
    with pytest.raises(SpaceError, match=f"^{words}"):
        ask(fresh())
    with pytest.raises(SpaceError, match=f"^{words}"):
        luthier.space.discover(ask)


def test_options_from_a_set_have_one_order():
    hp = fresh()
    hp.choice("kind", {"c", "a", "b"})
    assert hp.space["kind"] == Choice("a", "b", "c")
    hp.choice("other", (o for o in "xy"))
    assert hp.space["other"] == Choice("x", "y")


def test_another_tuners_words_are_told_ours():
    with pytest.raises(SpaceError, match=r"hp\.int has no min_value= .*Here it is called low="):
        fresh().int("units", min_value=32, max_value=512)
    with pytest.raises(SpaceError, match=r"hp\.float has no log= .*Write scale='log'"):
        fresh().float("rate", 1e-5, 0.1, log=True)
    with pytest.raises(SpaceError, match=r"hp\.choice has no values= .*called options="):
        fresh().choice("kind", values=["a", "b"])
