"""KerasTuner's hyperparameters, by hand and as a space; no framework is needed."""

from __future__ import annotations

import json

import pytest

import luthier as lt
from luthier.compat.keras_tuner.hyperparameters import HyperParameters, Policy
from luthier.compat.keras_tuner.objective import Objective, objectives
from luthier.compat.keras_tuner.ranges import float_domain, int_domain
from luthier.compat.keras_tuner.trial import name_of
from luthier.errors import LuthierWarning, SpaceError, StudyError
from luthier.space import discover


def ask(hp):
    kind = hp.Choice("kind", ["mlp", "cnn"])
    with hp.conditional_scope("kind", ["mlp"]):
        units = hp.Int("units", 8, 32, step=8)
    with hp.conditional_scope("kind", "cnn"):
        filters = hp.Int("units", 2, 6, step=2)  # the same name in another scope
    with hp.name_scope("head"):
        rate = hp.Float("rate", 0.0, 0.5, step=0.25)
    fixed = hp.Fixed("momentum", 0.9)
    extra = hp.Boolean("extra", parent_name="kind", parent_values=["cnn"])
    return kind, units, filters, rate, fixed, extra


def test_by_hand_it_answers_with_defaults_and_given_values():
    hp = HyperParameters()
    assert ask(hp) == ("mlp", 8, None, 0.0, 0.9, None)
    assert hp.values == {"kind": "mlp", "units": 8, "head/rate": 0.0, "momentum": 0.9}
    given = HyperParameters({"kind": "cnn", "units": 6, "head/rate": 0.5, "extra": True})
    assert ask(given) == ("cnn", None, 6, 0.5, 0.9, True)
    assert given.get("units") == given["units"] == 6
    assert "extra" in given
    other = given.copy()
    other.values["units"] = 4
    assert given.get("units") == 6
    with pytest.raises(SpaceError, match=r"'unit' does not exist here.*Did you mean 'units'"):
        given.get("unit")


def test_as_a_space():
    space = discover(lambda asking: ask(HyperParameters(asking=asking)))
    assert space["kind"] == lt.Choice("mlp", "cnn")
    assert space["kind.mlp.units"].free == lt.Int(8, 32, step=8, default=8)
    assert space["kind.cnn.units"].free == lt.Int(2, 6, step=2, default=2)
    assert space["head/rate"] == lt.Float(0.0, 0.5, step=0.25, default=0.0)
    assert space["momentum"] == lt.Constant(0.9)
    for key in space:
        assert name_of(key, ["kind", "units", "head/rate", "momentum", "extra"]) in key
    assert name_of("kind.mlp.units", ["kind", "units"]) == "units"
    configuration = {"kind": "cnn", "kind.cnn.units": 4, "head/rate": 0.25, "kind.cnn.extra": True}
    assert space.check(configuration)["kind.cnn.units"] == 4


def test_what_is_listed_replaces_what_is_asked_for():
    listed = {"units": lt.Constant(16), "other": lt.Int(1, 3)}
    hp = HyperParameters(policy=Policy(listed))
    assert hp.Int("units", 8, 32) == 16
    fixed = HyperParameters(policy=Policy(listed, tune_new=False))
    fixed.Float("lr", 0.1, 0.5, default=0.2)
    assert fixed.space["lr"] == lt.Constant(0.2)
    with pytest.raises(SpaceError, match="'unit' is not among hyperparameters="):
        HyperParameters(policy=Policy(listed, allow_new=False)).Int("unit", 1, 2)


def test_what_hyperparameters_leave_out_is_not_asked_for():
    def build(hp):
        kind = hp.Choice("kind", ["adam", "sgd"])
        with hp.conditional_scope("kind", ["sgd"]):
            momentum = hp.Float("momentum", 0.5, 0.9)
        assert (momentum is None) == (kind == "adam")

    policy = Policy({"kind": lt.Choice("adam")})
    space = discover(lambda hp: build(HyperParameters(asking=hp, policy=policy)))
    assert list(space.domains) == ["kind"]


@pytest.mark.parametrize(
    ("arguments", "domain"),
    [
        ((32, 512, 32, "linear", None), lt.Int(32, 512, step=32, default=32)),
        ((1, 10, 4, None, 5), lt.Int(1, 9, step=4, default=5)),
        ((1, 100, None, "LOG", None), lt.Int(1, 100, scale="log", default=1)),
        ((1, 16, 2, "log", None), lt.Choice(1, 2, 4, 8, 16)),
        ((3, 3, None, None, None), lt.Constant(3)),
        ((3, 5, 7, None, None), lt.Constant(3)),
    ],
)
def test_whole_ranges(arguments, domain):
    assert int_domain("n", *arguments) == domain


@pytest.mark.parametrize(
    ("arguments", "domain"),
    [
        ((0, 1, None, "linear", None), lt.Float(0, 1, default=0.0)),
        ((0, 1, 0.3, None, None), lt.Float(0, 0.9, step=0.3, default=0.0)),
        ((1e-4, 1e-1, None, "log", 1e-3), lt.Float(1e-4, 1e-1, scale="log", default=1e-3)),
        ((0.001, 0.1, 10, "log", None), lt.Choice(0.001, 0.01, 0.1)),
        ((0.9, 0.999, None, "reverse_log", None),
         lt.Float(0.9, 0.999, scale="one_minus_log", default=0.9)),
    ],
)  # fmt: skip
def test_real_ranges(arguments, domain):
    assert float_domain("x", *arguments) == domain


def test_samplings_that_cannot_be():
    with pytest.raises(SpaceError, match=r"x: sampling='lgo'.*Did you mean 'log'"):
        float_domain("x", 0.1, 1.0, None, "lgo", None)
    with pytest.warns(LuthierWarning, match="is for numbers below 1"):
        float_domain("x", 0.1, 10.0, None, "reverse_log", None)


def test_the_direction_is_told_by_the_name():
    assert objectives("val_accuracy") == [Objective("val_accuracy", "max")]
    assert objectives("val_loss") == [Objective("val_loss", "min")]
    assert objectives(["val_auc", Objective("size", "min")])[1].name == "size"
    assert objectives(None)[0].direction == "min"
    with pytest.raises(StudyError, match=r"expected keras_tuner.Objective\('val_score', 'min'\)"):
        objectives("val_score")
    with pytest.raises(StudyError, match=r"expected 'min' or 'max'"):
        Objective("x", "minimum")


def test_inactive_values_are_none_and_merging_takes_over():
    hp = HyperParameters()
    hp.Choice("a", [1, 2], default=2)
    with hp.conditional_scope("a", 1):
        assert hp.Int("b", 0, 9, default=3) is None
    with pytest.raises(KeyError, match=r"^'b' is currently inactive"):
        hp.get("b")
    with pytest.raises(KeyError, match=r"^'c' does not exist"):
        hp.get("c")
    other = HyperParameters()
    other.Fixed("a", 1)
    other.Fixed("c", 4)
    hp.merge(other, overwrite=False)
    assert hp.values == {"a": 2, "c": 4}
    hp.merge(other)
    assert hp.values == {"a": 1, "c": 4}


def test_an_objective_compares():
    large, small = Objective("accuracy", "max"), Objective("loss", "min")
    assert large.better_than(1, 0)
    assert small.better_than(0, 1)
    assert not small.better_than(0, 0)
    assert small.has_value({"loss": 2.0})
    assert not large.has_value({"loss": 2.0})
    assert small.get_value({"loss": 2.0}) == 2.0


def scoped(hp):
    with hp.name_scope("opt"):
        kind = hp.Choice("kind", ["sgd", "adam"])
        with hp.conditional_scope("kind", ["sgd"]):
            momentum = hp.Float("momentum", 0.0, 0.9)
        beta = hp.Float("beta", 0.8, 0.9, parent_name="kind", parent_values=["adam"])
    return kind, momentum, beta


def test_a_parent_is_called_as_in_its_name_scope():
    hp = HyperParameters()
    assert scoped(hp) == ("sgd", 0.0, None)
    assert hp.values == {"opt/kind": "sgd", "opt/momentum": 0.0}
    assert scoped(HyperParameters({"opt/kind": "adam"})) == ("adam", None, 0.8)
    space = discover(lambda asking: scoped(HyperParameters(asking=asking)))
    assert list(space) == ["opt/kind", "opt/kind.sgd.opt/momentum", "opt/kind.adam.opt/beta"]


def test_a_parent_that_is_not_there_is_named():
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b"])
    with (
        pytest.raises(ValueError, match=r"no hyperparameter 'kin'.*Did you mean 'kind'"),
        hp.conditional_scope("kin", ["a"]),
    ):
        pass
    with pytest.raises(ValueError, match="no hyperparameter 'kin'"):
        hp.Int("units", 1, 2, parent_name="kin", parent_values=["a"])


# What KerasTuner 1.4.8 writes.
CONFIG = {
    "space": [
        {"class_name": "Int", "config": {"name": "units", "default": None, "conditions": [], "min_value": 8,
                                         "max_value": 32, "step": 8, "sampling": "linear"}},
        {"class_name": "Float", "config": {"name": "lr", "default": 0.0001, "conditions": [],
                                           "min_value": 0.0001, "max_value": 0.1, "step": None,
                                           "sampling": "log"}},
        {"class_name": "Float", "config": {"name": "m", "default": 0.5, "conditions": [], "min_value": 0.5,
                                           "max_value": 0.9, "step": None, "sampling": "reverse_log"}},
        {"class_name": "Choice", "config": {"name": "kind", "default": "a", "conditions": [],
                                            "values": ["a", "b"], "ordered": False}},
        {"class_name": "Boolean", "config": {"name": "flag", "default": False, "conditions": []}},
        {"class_name": "Fixed", "config": {"name": "f", "conditions": [], "value": 3}},
    ],
    "values": {"units": 16, "lr": 0.0001, "m": 0.5, "kind": "a", "flag": False, "f": 3},
}  # fmt: skip


def test_a_configuration_is_plain_data_and_comes_back():
    hp = HyperParameters.from_config(CONFIG)
    assert hp.get("units") == hp.Int("units", 8, 32, step=8) == 16
    assert hp.space["m"] == lt.Float(0.5, 0.9, scale="one_minus_log", default=0.5)
    written = hp.get_config()
    assert json.loads(json.dumps(written)) == written
    assert [entry["class_name"] for entry in written["space"]] == [
        entry["class_name"] for entry in CONFIG["space"]
    ]
    assert written["space"][1:] == CONFIG["space"][1:]
    again = HyperParameters.from_config(written)
    assert (again.space, again.values) == (hp.space, hp.values)
