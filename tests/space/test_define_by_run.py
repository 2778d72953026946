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


@pytest.mark.parametrize("values", [["sgd", "adam"], ("sgd", "adam"), {"sgd", "adam"}])
def test_the_values_of_a_branch_may_be_in_a_list(values):
    hp = fresh(values={"optimizer": "sgd"})
    hp.choice("optimizer", ["adam", "rmsprop", "sgd"])
    with hp.when("optimizer", values):
        hp.float("momentum", 0, 1)
    (key,) = (name for name in hp.configuration if name.endswith("momentum"))
    assert hp.configuration[key] == 0.5
    assert hp.space[key].condition == (("optimizer", ("adam", "sgd")),)


def test_an_option_that_is_a_tuple_is_one_value_of_a_branch():
    hp = fresh(values={"kernel": (5, 5)})
    hp.choice("kernel", [(3, 3), (5, 5)])
    with hp.when("kernel", (5, 5)):
        hp.bool("pad")
    with hp.when("kernel", [(3, 3), [5, 5]]):
        hp.bool("same")
    assert list(hp.configuration) == ["kernel", "kernel.(5, 5).pad", "kernel.(3, 3)|(5, 5).same"]
    assert hp.space["kernel.(5, 5).pad"].condition == (("kernel", ((5, 5),)),)


def test_a_branch_that_can_never_be_taken_is_refused():
    hp = fresh(values={"optimizer": "sgd", "layers": 2})
    hp.choice("optimizer", ["sgd", "adam"])
    hp.int("layers", 1, 3)
    for asked in (hp, None):
        for parent, values, words in [
            (
                "optimizer",
                ["sdg"],
                r"hp\.when\('optimizer', 'sdg'\): optimizer never has this value",
            ),
            ("optimizer", ["a", "b"], r"any of these values: it is Choice\('sgd', 'adam'\)"),
            ("layers", [4], r"it is Int\(1, 3\)"),
        ]:
            if asked is not None:
                with pytest.raises(SpaceError, match=words), hp.when(parent, *values):
                    raise AssertionError("it was entered")
                continue

            def build(hp, parent=parent, values=values):
                hp.choice("optimizer", ["sgd", "adam"])
                hp.int("layers", 1, 3)
                with hp.when(parent, values):
                    hp.bool("inside")

            with pytest.raises(SpaceError, match=words):
                luthier.space.discover(build)
    with hp.when("layers", 2.0, 3):
        hp.bool("deep")
    assert "layers.2|3.deep" in hp.configuration
    with hp.when("never asked for", 1):
        assert hp.bool("hidden") is False  # whether another run asks for it, this one cannot tell


def test_a_constant_takes_one_of_the_branches_that_there_are():
    hp = fresh()
    hp.constant("optimizer", "sgd")
    for optimizer in ("adam", "sgd"):
        with hp.when("optimizer", optimizer):
            hp.float(f"of_{optimizer}", 0, 1)
    assert list(hp.configuration) == ["optimizer", "optimizer.sgd.of_sgd"]


def test_true_is_no_one_in_a_branch():
    hp = fresh(values={"n": 1})
    hp.choice("n", [0, 1, True])
    with hp.when("n", True):
        hp.bool("inside")
    assert list(hp.configuration) == ["n"]


def test_options_that_only_look_alike_are_not_the_same():
    hp = fresh()
    hp.choice("n", [0, 1])
    with pytest.raises(SpaceError, match=r"Choice\(0, 1\) and then as Choice\(False, True\)"):
        hp.choice("n", [False, True])
    hp = fresh(Space(n=Choice(1, 2)), {"n": 2})
    assert type(hp.choice("n", [1.0, 2.0])) is float
    assert hp.configuration.keys() == {"n#2"}
    hp = fresh(Space(c=luthier.Constant(1)))
    hp.constant("c", True)
    assert hp.configuration == {"c#2": True}


def test_a_name_with_a_dot_in_it_is_no_branch_of_a_shorter_one():
    rate = {"low": 1e-4, "high": 1e-1, "scale": "log"}

    def ask(hp, big):
        if not big:
            hp.float("lr", **rate)
        return hp.float("enc.lr", **rate)

    first = fresh()
    ask(first, big=True)
    other = HyperParameters(first.space, {"enc.lr": 1e-2}, lambda key, domain: domain.low)
    assert ask(other, big=False) == 1e-2
    assert other.configuration == {"lr": 1e-4, "enc.lr": 1e-2}
    again = HyperParameters(other.space, {"lr": 1e-3, "enc.lr": 1e-2}, None)
    ask(again, big=False)
    assert again.configuration == {"lr": 1e-3, "enc.lr": 1e-2}
    assert not again.grown


def test_a_dotted_name_inside_a_branch_is_no_branch_of_a_shorter_one_outside():
    first = fresh(values={"arch": "big"})
    first.choice("arch", ["big", "small"])
    with first.when("arch", "big"):
        first.float("enc.lr", 0, 1)
    other = fresh(first.space, {"arch": "small"})
    other.choice("arch", ["big", "small"])
    other.float("lr", 0, 1)
    assert other.configuration == {"arch": "small", "lr": 0.5}


def test_what_was_asked_for_in_a_branch_may_be_asked_for_by_a_plain_if():
    """Edited code: the scope is gone, the condition and so the hyperparameter are the same."""
    first = fresh(values={"layers": 2, "layers.2|3.wide": True})
    first.int("layers", 1, 3)
    with first.when("layers", 3, 2):
        first.bool("wide")
        with first.when("wide", True):
            first.float("drop", 0, 1)
    by_hand = Space(
        {
            "opt": Choice("sgd", "adam"),
            "sgd.momentum": Float(0, 1).when(opt="sgd"),
            "e.rate": Float(0, 1),
        }
    )
    for space, names in (
        (first.space, ["layers", "wide", "drop"]),
        (by_hand, ["opt", "momentum", "rate"]),
    ):
        again = fresh(space, dict.fromkeys(first.configuration, True) | {"layers": 2, "opt": "sgd"})
        for name in names:
            if name == "layers":
                again.int(name, 1, 3)
            elif name == "wide":
                again.bool(name)
            elif name == "opt":
                again.choice(name, ["sgd", "adam"])
            else:
                again.float(name, 0, 1)
        assert list(again.grown) == [name for name in names if name == "rate"]


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
        (lambda hp: hp.int("units", 1.5, 1.5), "units: .*low must be a whole number"),
        (lambda hp: hp.float("rate", "a", "a"), "rate: .*expected a number, got str"),
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


def test_a_range_that_may_come_to_one_value_in_a_training_function():
    space = Space(layers=Int(1, 3))
    study = luthier.open("s", space, minimize="loss", storage="memory", define_by_run=True)
    for layers in (1, 3, 1):
        study.enqueue(
            {**dict.fromkeys([k for k in study.space if k == "heads"], 2), "layers": layers}
        )
        trial = study.ask()
        heads = trial.hp.int("heads", 1, trial.hp.int("layers", 1, 3))
        assert 1 <= heads <= layers
        study.tell(trial, loss=1.0)
    assert study.space["heads"] == Int(1, 3)
    assert [t.configuration for t in study.trials] == [
        {"layers": 1},  # before the space had it
        {"layers": 3, "heads": study.trials[1].configuration["heads"]},
        {"layers": 1, "heads": 1},
    ]


def test_what_a_declared_hyperparameter_came_to_is_recorded():
    study = luthier.open(
        "s", {"layers": Int(1, 3), "heads": Int(1, 3)}, minimize="loss", storage="memory"
    )
    study.enqueue({"layers": 1, "heads": 3})
    trial = study.ask()
    assert trial.hp.int("heads", 1, trial.hp.int("layers", 1, 3)) == 1
    study.tell(trial, loss=1.0)
    assert trial["heads"] == 1
    assert study.trials[0].configuration == {"layers": 1, "heads": 1}


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


def test_values_of_a_space_that_was_declared_beside_the_code_are_read_by_name():
    space = Space(
        rate=Float(1e-3, 1e-1, scale="log"),
        first=Choice({"a": Space(units=Int(1, 4), width=Int(1, 4))}),
        second=Choice({"b": Space(units=Int(5, 9))}),
    )
    study = luthier.open("declared", space, minimize="loss", storage="memory")
    trial = study.ask()
    assert trial.hp["rate"] == trial["rate"]
    assert trial.hp["width"] == trial["first.a.width"]
    assert trial.hp.get("momentum", 0.9) == 0.9
    with pytest.raises(
        SpaceError, match=r"'units' could be any of 'first\.a\.units', 'second\.b\.units'"
    ):
        trial.hp["units"]
    with pytest.raises(SpaceError, match="Did you mean 'rate'"):
        trial.hp["rates"]
    study.tell(trial, loss=1.0)
    assert study.trials[0].configuration.keys() == space.sample(lambda _: 0.5).keys()


def test_a_declared_constant_is_the_value_of_what_the_code_asks_for():
    space = Space(layers=luthier.Constant(2), kind=luthier.Constant("b"), rate=Float(0, 1))
    study = luthier.open("fixed", space, minimize="loss", storage="memory")
    for _ in range(2):
        trial = study.ask()
        assert (trial.hp.int("layers", 1, 4), trial.hp.choice("kind", ["a", "b"])) == (2, "b")
        study.tell(trial, loss=trial.hp.float("rate", 0, 1))
    assert study.history.space == space
